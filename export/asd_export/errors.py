"""Errors of the exporter that a user can act on.

::

    AsdError
    └── BrokerError      the broker cannot be reached, or refuses what is asked of it
        └── LinkDown     there is no connection: worth another attempt
"""

from asd_agent.errors import AsdError


class BrokerError(AsdError):
    """The broker cannot be reached, or refuses what is asked of it."""

    exit_code = 10


class LinkDown(BrokerError):
    """There is no connection, or no longer: worth another attempt."""
