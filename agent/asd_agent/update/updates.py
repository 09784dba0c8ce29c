"""Serves what the device is wished to run: the newest wish, one at a time.

Rules: a newer wish ends the work for an older one at its next safe point. A wish that
is met or was refused for good is answered, and nothing is done. What failed for another
reason is tried again when the wish comes again, and by itself if time can mend it;
never sooner than after a pause that grows.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.state import News, StoreState
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import MANIFEST_FILE, Trust, verify
from asd_agent.errors import BundleError
from asd_agent.update.desired import Desired
from asd_agent.update.install import STOPPED
from asd_agent.update.report import Report

log = logging.getLogger(__name__)

MENDED_BY_TIME = frozenset({"unavailable", "disk_full"})
"""Reasons after which a bundle is tried again without being asked"""

Install = Callable[[Desired, threading.Event], object]
"""Installs a bundle and reports; raises `BundleError`"""
Tell = Callable[[Report], None]


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between two attempts."""

    first_s: float = 15.0
    """After the first failure; doubled with each other one"""
    most_s: float = 600.0
    """Longest pause"""

    def after(self, failures: int, uniform: Callable[[float, float], float]) -> float:
        """Pause after so many failures; a plant does not come back in one moment."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 16))
        return uniform(longest / 2, longest)


class Answers:
    """What can be said to a wish without any work.

    Parameters
    ----------
    store, trust
        What is installed, and whose bundles are taken.
    pinned
        Whether the configuration names a bundle that stays.
    progress
        Tells how many healthy windows a bundle on trial has, and how many it needs.
    """

    def __init__(
        self,
        store: Store,
        trust: Trust,
        *,
        pinned: bool,
        progress: Callable[[], tuple[int, int]],
    ) -> None:
        self._store = store
        # Whether it is newer is no question for a bundle that is here.
        self._trust = replace(trust, allow_downgrade=True)
        self._pinned = pinned
        self._progress = progress

    def __call__(self, desired: Desired) -> Report | None:
        """Answer; None: the bundle must be installed, or refused by the installer."""
        if self._pinned:
            return refusal(
                desired,
                "pinned",
                "bundle.path of the configuration names the bundle that runs. Remove "
                "it to have bundles installed",
            )
        try:
            signature = desired.signature or None
            manifest = verify(desired.raw, signature, self._trust)
        except BundleError:
            return None
        state = self._store.read()
        if manifest.id == state.current:
            return self._other(desired) or self._current(manifest, state)
        if (
            state.news
            and state.news.id == manifest.id
            and manifest.id in state.rejected
        ):
            return told(state.news)
        return None

    def _current(self, manifest: Manifest, state: StoreState) -> Report:
        if state.trial is None:
            return Report(manifest.id, manifest.version, "committed", "commit")
        windows, needed = self._progress()
        return Report(
            manifest.id,
            manifest.version,
            "trial",
            "trial",
            windows=windows,
            needed=needed,
        )

    def _other(self, desired: Desired) -> Report | None:
        """The refusal of another bundle under the identifier of the current one."""
        path = self._store.path(self._store.read().current) / MANIFEST_FILE
        try:
            same = path.read_bytes() == desired.raw
        except OSError:
            same = True  # damaged: whoever opens it will see
        if same:
            return None
        text = "another bundle of this identifier runs here. Build it under its own"
        return refusal(desired, "not_newer", text)


class Updater(threading.Thread):
    """The thread that installs.

    Parameters
    ----------
    answer
        Says what can be said at once.
    install
        Does the work otherwise.
    report
        Told answers, and what went wrong unforeseen.
    """

    def __init__(
        self,
        answer: Callable[[Desired], Report | None],
        install: Install,
        report: Tell,
        *,
        pauses: Pauses = Pauses(),
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        super().__init__(name="updater", daemon=True)
        self._answer = answer
        self._install = install
        self._report = report
        self._pauses = pauses
        self._clock = clock
        self._uniform = uniform
        self._changed = threading.Condition()
        self._ended = False
        self._wish: Desired | None = None
        self._asked = False
        self._failures = 0
        self._due_s = 0.0
        self._cancel = threading.Event()

    def desire(self, desired: Desired) -> None:
        """Take a wish, or the same one again; returns at once."""
        with self._changed:
            if desired != self._wish:
                self._wish = desired
                self._failures, self._due_s = 0, self._clock()
                self._cancel.set()
            self._asked = True
            self._changed.notify()

    def unreadable(self, error: BundleError) -> None:
        """Take a message that holds no wish."""
        self._report(
            Report("", 0, "rejected", "verify", error.reason, detail=str(error))
        )

    def end(self) -> None:
        """Ask the thread to end, at the next safe point; returns at once."""
        with self._changed:
            self._ended = True
            self._cancel.set()
            self._changed.notify()

    def run(self) -> None:
        """Serve until `end`."""
        while True:
            desired = self._await()
            if desired is None:
                return
            self._note(desired, self._serve(desired))

    def _await(self) -> Desired | None:
        with self._changed:
            while not self._ended:
                if self._wish is None or not self._asked:
                    self._changed.wait()
                    continue
                pause_s = self._due_s - self._clock()
                if pause_s <= 0:
                    self._asked = False
                    self._cancel = threading.Event()
                    return self._wish
                self._changed.wait(pause_s)
            return None

    def _serve(self, desired: Desired) -> str | None:
        """Do what is wished; what went wrong, in one word."""
        try:
            known = self._answer(desired)
            if known is None:
                self._install(desired, self._cancel)
            else:
                self._report(known)
        except BundleError as error:
            log.warning("update: %s", error)
            return error.reason
        except Exception as error:  # a thread's top: the next wish must be served
            log.exception("update: unexpected")
            self._report(
                refusal(desired, "broken", f"a fault in the software: {error}")
            )
            return "broken"
        return None

    def _note(self, desired: Desired, reason: str | None) -> None:
        with self._changed:
            if desired is not self._wish or reason == STOPPED:
                return
            self._failures = 0 if reason is None else self._failures + 1
            self._due_s = self._clock()
            if self._failures:
                self._due_s += self._pauses.after(self._failures, self._uniform)
            self._asked = self._asked or reason in MENDED_BY_TIME


def refusal(desired: Desired, reason: str, detail: str) -> Report:
    """Say that a bundle is not taken."""
    log.warning("update: %s: %s", desired.id, detail)
    return Report(
        desired.id, desired.version, "rejected", "verify", reason, detail=detail
    )


def told(news: News) -> Report:
    """Say what became of a bundle, as it is remembered."""
    return Report(news.id, news.version or 0, news.state, news.step, news.reason)
