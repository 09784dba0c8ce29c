"""The state of the store as the running agent sees it, also when it cannot be written.

A full or broken medium must not keep a bad bundle running: what cannot be written is
held in memory and written as soon as it can be. One thread uses it.
"""

import contextlib
import logging
import time
from collections.abc import Callable

from asd_agent.bundle.state import StoreState
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import STATE_FILE
from asd_agent.errors import BundleError

log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Seconds between two attempts to write"""

Change = Callable[[StoreState], StoreState]
"""A step of the state"""
_Mark = tuple[int, int, int]


class Book:
    """Reads and changes the state of a store; other processes may change it too."""

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._clock = clock
        self._state = StoreState()
        self._mark: _Mark | None = None
        self._waiting: list[Change] = []
        self._due_s = 0.0

    def start(self) -> StoreState:
        """Count a start of the agent; see `Store.start`.

        Raises
        ------
        BundleError
            The state cannot even be read.
        """
        try:
            self._state = self._store.start()
        except BundleError as error:
            self._state = self._store.read()
            if self._state.trial is not None:
                # An uncounted start of a bundle on trial could be one of many.
                reason = error.reason
                log.error("the bundle on trial is left: %s", error)
                self._hold(lambda state: state.fallen_back(reason))
        return self._state

    def read(self) -> StoreState:
        """The state now; cheap if nothing has changed."""
        if self._waiting:
            self._write()
            return self._state
        mark = self._mark_now()
        if mark is None or mark != self._mark:
            try:
                self._state = self._store.read()
                self._mark = mark
            except BundleError as error:
                log.error("the state stays as it was known: %s", error)
        return self._state

    def change(self, step: Change) -> StoreState:
        """Take the state one step on, on the medium if it can be written."""
        if not self._waiting:
            try:
                self._state = self._store.change(step)
                self._mark = None
            except BundleError as error:
                log.error("held in memory until it can be written: %s", error)
            else:
                return self._state
        self._hold(step)
        return self._state

    def settle(self, step: Change) -> StoreState:
        """Take the state one step on, on the medium or not at all.

        Raises
        ------
        BundleError
            It cannot be written.
        """
        if self._waiting:
            raise BundleError("other changes of the state wait to be written", "broken")
        self._state = self._store.change(step)
        self._mark = None
        return self._state

    def _hold(self, step: Change) -> None:
        if not self._waiting:
            # Another process may have changed it.
            with contextlib.suppress(BundleError):
                self._state = self._store.read()
        self._state = step(self._state)
        self._waiting.append(step)
        self._due_s = self._clock() + RETRY_S

    def _write(self) -> None:
        if self._clock() < self._due_s:
            return
        self._due_s = self._clock() + RETRY_S
        try:
            while self._waiting:
                self._state = self._store.change(self._waiting[0])
                del self._waiting[0]
        except BundleError as error:
            log.warning("still held in memory: %s", error)
        self._mark = None

    def _mark_now(self) -> _Mark | None:
        try:
            found = (self._store.folder / STATE_FILE).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
