"""Warnings that do not fill the log."""

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

QUIET_S = 60.0
"""Seconds between two log lines about the same trouble"""


class Quiet:
    """Logs each kind of trouble at most once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said_s: dict[str, float] = {}

    def say(
        self, trouble: str, text: str, *values: object, level: int = logging.WARNING
    ) -> None:
        """Log a line, unless this kind of trouble was told a moment ago."""
        now_s = self._clock()
        if now_s - self._said_s.get(trouble, -QUIET_S) >= QUIET_S:
            self._said_s[trouble] = now_s
            log.log(level, text, *values)
