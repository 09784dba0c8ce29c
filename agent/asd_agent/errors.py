"""Errors that a user can act on.

::

    AsdError
    ├── ConfigError      the configuration names something that cannot be
    ├── SoundError       a recording or a device gives no usable sound
    ├── BundleError      a bundle is broken, altered or not for this device
    ├── SiteError        what was learnt on site cannot be read or written
    └── RuntimeMissing   an optional part of the software is not installed

The text says what was expected, what was found and how to mend it. Only the
command line catches `AsdError`; it prints the text and returns `exit_code`.
"""


class AsdError(Exception):
    """Base of every error of this software that is not a bug."""

    exit_code = 1


class ConfigError(AsdError):
    """The configuration is not valid."""

    exit_code = 2


class SoundError(AsdError):
    """A recording or a capture device gives no usable sound."""

    exit_code = 3


class BundleError(AsdError):
    """A bundle is broken, altered, or not made for this software or device.

    `reason` is one word for those who count: what ``bundle/state`` reports.
    """

    exit_code = 4

    def __init__(self, text: str, reason: str = "broken") -> None:
        super().__init__(text)
        self.reason = reason


class SiteError(AsdError):
    """Learnt sound is missing, unreadable, or cannot be written."""

    exit_code = 5


class RuntimeMissing(AsdError):
    """An optional library that this work needs is not installed."""

    exit_code = 6
