"""The database of an outbox through all that may happen to a disk."""

import contextlib
import errno
import logging
import sqlite3
import time
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from pathlib import Path

from asd_agent.mqtt.broken import set_aside
from asd_agent.mqtt.quiet import Quiet
from asd_agent.mqtt.store import Base, Broken, Store

log = logging.getLogger(__name__)

RETRY_S = 60.0
"""Seconds until a disk that failed is tried again"""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
FAILURES = (sqlite3.Error, OSError, Broken)
"""What a disk may answer"""

OpenStore = Callable[[Path, int, Base | None], Store]


class Medium:
    """A store that is closed where it fails, and opened again later.

    Used by one thread; `works` may be asked by any.

    Parameters
    ----------
    clock
        Seconds by which the disk is tried again.
    """

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        *,
        clock: Callable[[], float],
        open_store: OpenStore = Store,
    ) -> None:
        self.store: Store | None = None
        self.retry_s = clock()
        """When to try again, where there is no store"""
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._open_store = open_store
        self._quiet = Quiet(clock)
        self._base: Base | None = None
        self._failed = False
        self._answer_by_s: float | None = None

    @property
    def works(self) -> bool:
        """Whether it is worth waiting for: it neither failed nor got stuck."""
        answer_by_s = self._answer_by_s
        late = answer_by_s is not None and time.monotonic() > answer_by_s
        return not self._failed and not late

    @contextlib.contextmanager
    def asked(self, patience_s: float) -> Generator[None, None, None]:
        """Note that the disk is at work, and when it should have answered."""
        self._answer_by_s = time.monotonic() + patience_s
        try:
            yield
        finally:
            self._answer_by_s = None

    def open(self) -> Store:
        """Open the database; one that cannot be read is set aside.

        Raises
        ------
        sqlite3.Error, OSError, Broken
            The disk cannot be used now.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            store = self._open_store(self._path, self._max_bytes, self._base)
        except Broken as error:
            aside = set_aside(self._path, datetime.now(timezone.utc))
            text = (
                "MQTT: %s cannot be read (%s): a new one is begun, and what waited in "
                "it is not sent. It is kept as %s"
            )
            log.error(text, self._path, error, aside.name)
            store = self._open_store(self._path, self._max_bytes, self._base)
        self._base = store.base
        self.store = store
        if self._failed:
            log.info("MQTT: %s can be written again", self._path)
        self._failed = False
        return store

    def fail(self, error: BaseException) -> None:
        """Let go of the database after an error, and say so."""
        self.close()
        self._failed = True
        self.retry_s = self._clock() + RETRY_S
        text = (
            "MQTT: %s: %s. Until then what waits for the broker is in memory alone; "
            "trying again every minute"
        )
        self._quiet.say("disk", text, self._path, _what(error))

    def full(self, store: Store, given_up: int) -> None:
        """Say that the oldest messages are given up, and how many so far."""
        limits = "mqtt.outbox.max_bytes or max_age_s"
        why = "its disk has no room" if store.cramped else f"it has reached {limits}"
        text = "MQTT: %s: the oldest messages are given up, %d so far: %s"
        self._quiet.say("full", text, self._path, given_up, why)

    def close(self) -> None:
        """Let go of the database."""
        if self.store is not None:
            with contextlib.suppress(*FAILURES):
                self.store.close()
            self.store = None


def _what(error: BaseException) -> str:
    """What went wrong, and how to mend it."""
    if isinstance(error, OSError):
        text, full = error.strerror or str(error), error.errno in _FULL
    else:
        text, full = str(error), "full" in str(error)
    if full:
        return f"{text}. Make room on that disk"
    if "locked" in text:
        return f"{text}. End the other agent that has the same state_dir"
    return f"{text}. Let this user write there, or look after the disk"
