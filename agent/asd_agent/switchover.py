"""Makes what runs what the store says, and ends the trial of a new bundle.

Whoever changes ``state.json``, this agent or ``asd-agent bundle`` in another process:
it is seen here, the bundle is opened beside the one that runs, and every source
switches. A bundle on trial is watched. It is committed, or what was before it returns;
where it hangs the process begins anew, for a thread in a library cannot be stopped.

One thread calls `look`, over and over; it never waits.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from asd_agent.bundle.state import StoreState
from asd_agent.errors import BundleError
from asd_agent.opening import Opened, Opening, given_up, left_for
from asd_agent.update.book import Book
from asd_agent.update.report import Report
from asd_agent.update.trial import judge
from asd_agent.update.updates import told
from asd_agent.worker import Worker

log = logging.getLogger(__name__)

HANG_S = 20.0
"""Seconds after which a step of a bundle on trial hangs"""
RETRY_S = 10.0
"""Seconds between two attempts to commit, where the disk is full"""


class Switchover:
    """Which bundle runs.

    Parameters
    ----------
    book
        What shall run.
    opened
        What runs.
    workers
        In the order of the sources.
    needed
        Healthy windows after which a bundle on trial stays.
    opening
        Makes what opens a bundle, by its key.
    report
        Told what became of a bundle.
    switched
        Called when another bundle runs.
    tidy
        Removes bundles that are not needed any more, and what was learnt with them.
    restart
        Begins this process anew.
    """

    def __init__(
        self,
        book: Book,
        opened: Opened,
        workers: Sequence[Worker],
        needed: int,
        *,
        opening: Callable[[str], Opening],
        report: Callable[[Report], None],
        switched: Callable[[], None],
        tidy: Callable[[], None],
        restart: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.running = opened
        """What runs; a source that hears nothing may still have the one before"""
        self.windows = 0
        """Healthy windows of the bundle on trial"""
        self._book = book
        self._workers = workers
        self._needed = needed
        self._open = opening
        self._report = report
        self._switched = switched
        self._tidy = tidy
        self._restart = restart
        self._clock = clock
        self._before: Opened | None = None
        self._opening: Opening | None = None
        self._useless: str | None = None
        self._due_s = 0.0

    def begin(self) -> None:
        """Tell how things stand, at the start."""
        state = self._book.read()
        if state.trial is not None:
            self._tell_trial(state)
        elif state.news is not None:
            self._report(told(state.news))

    def look(self) -> None:
        """See to it that the right bundle runs."""
        state = self._book.read()
        hanging = self._hanging(state)
        if hanging is not None:
            self._leave_hanging(hanging)
        elif self._opening is not None:
            if not self._opening.is_alive():
                opening, self._opening = self._opening, None
                self._take(opening, state)
        elif state.current != self.running.key:
            self._begin_switch(state)
        elif state.trial is not None:
            self._judge(state)

    def _hanging(self, state: StoreState) -> str | None:
        """The bundle that hangs, if one does."""
        if self._opening is not None and self._opening.hangs:
            return self._opening.key
        if state.trial is None or self.running.key != state.current:
            return None
        began = [worker.busy_s for worker in self._workers]
        hangs = any(s is not None and self._clock() - s > HANG_S for s in began)
        return self.running.key if hangs else None

    def _leave_hanging(self, key: str) -> None:
        self._opening = None
        log.error("bundle %s hangs; starting anew with the one before it", key)
        self._book.change(left_for("hung", key))
        self._restart()

    def _begin_switch(self, state: StoreState) -> None:
        if self._before is not None and self._before.key == state.current:
            self._switch(self._before, state)
        elif state.current != self._useless:
            self._begin_anew_if_ended()
            self._useless = None
            self._opening = self._open(state.current)
            self._opening.start()

    def _take(self, opening: Opening, state: StoreState) -> None:
        """Switch to what was opened, unless something else shall run by now."""
        if opening.key != state.current:
            return
        if opening.opened is not None:
            self._switch(opening.opened, state)
            return
        error = opening.error or BundleError("it was not opened", "error")
        reason, change = given_up(opening.key, error)
        log.error("bundle %s is left (%s): %s", opening.key, reason, error)
        left = self._book.change(change)
        if left.current == opening.key:
            self._useless = opening.key  # the last resort; what runs goes on
        if left.news is not None:
            self._report(replace(told(left.news), step="switch", detail=str(error)))
        if left.current == self.running.key:
            self._tidy()

    def _switch(self, opened: Opened, state: StoreState) -> None:
        on_trial = state.trial is not None
        # Where a person goes back, what runs is good enough until the other hears.
        by_hand = state.news is not None and state.news.reason == "by_hand"
        for worker, ear in zip(self._workers, opened.ears, strict=True):
            worker.switch(ear, at_once=not on_trial and not by_hand)
        before = self._before or self.running
        self._before = before if on_trial else None
        self.running = opened
        self._switched()
        if on_trial:
            self.windows = 0
            self._tell_trial(state)
            return
        if state.news is not None and state.news.state == "rolled_back":
            gone = told(state.news)
            self._report(replace(gone, windows=self.windows, needed=self._needed))
        self._tidy()

    def _judge(self, state: StoreState) -> None:
        verdict = judge([worker.watch for worker in self._workers], self._needed)
        told_windows, self.windows = self.windows, verdict.windows
        if verdict.end == "commit":
            self._commit(state)
        elif verdict.end == "roll_back":
            self._roll_back(verdict.reason or "error")
        elif verdict.windows != told_windows:
            self._tell_trial(state)

    def _commit(self, state: StoreState) -> None:
        if self._clock() < self._due_s:
            return
        key = self.running.key
        try:
            state = self._book.settle(lambda state: state.committed(of=key))
        except BundleError as error:
            log.error("bundle %s stays on trial: %s", key, error)
            self._due_s = self._clock() + RETRY_S
            self._tell_trial(state, error)
            return
        if state.current != key:
            return  # another process was quicker
        log.info("bundle %s is committed, %d healthy windows", key, self.windows)
        self._before = None
        for worker in self._workers:
            worker.settle()
        self._report(replace(self._about(), state="committed", step="commit"))
        self._tidy()

    def _roll_back(self, reason: str) -> None:
        key = self.running.key
        log.error("bundle %s is rolled back: %s", key, reason)
        self._book.change(left_for(reason, key))
        # On trial from the start: there was no other ear to go back to.
        self._begin_anew_if_ended()

    def _begin_anew_if_ended(self) -> None:
        """Where a worker ended by an error nothing here hears another bundle."""
        if any(worker.error is not None for worker in self._workers):
            self._restart()

    def _tell_trial(self, state: StoreState, error: BundleError | None = None) -> None:
        if state.current != self.running.key:
            return
        report = self._about()
        if error is not None:
            report = replace(
                report, step="commit", reason=error.reason, detail=str(error)
            )
        self._report(report)

    def _about(self) -> Report:
        manifest = self.running.manifest
        return Report(
            manifest.id,
            manifest.version,
            "trial",
            "trial",
            windows=self.windows,
            needed=self._needed,
        )
