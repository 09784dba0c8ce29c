"""Installs a bundle: each step is told, and none can harm what runs.

1. ``verify``: the signature, and all other rules of `asd_agent.bundle.trust`.
2. ``fetch``: files that an installed bundle has already are taken from there.
3. ``verify``: every file once more, and that there is no other.
4. ``self-test``: a child process computes the golden numbers.
5. ``re-learn``: a child learns what was learnt on site, from kept sound.
6. ``switch``: one change of ``state.json``. The bundle is on trial; whoever runs
   bundles sees that by itself.

Whatever goes wrong before the last step is done, the old bundle runs on.
"""

import contextlib
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.staged import Staged
from asd_agent.bundle.state import REMEMBERED
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import Trust, verify
from asd_agent.errors import AsdError, BundleError, RuntimeMissing
from asd_agent.update.desired import Desired
from asd_agent.update.fetch import Fetcher
from asd_agent.update.report import Report, State, Step
from asd_agent.update.tries import Tries

log = logging.getLogger(__name__)

STOPPED = "stopped"
"""Reason where nobody wants the installation any more: that is not reported"""
STATES: dict[Step, State] = {
    "fetch": "downloading",
    "verify": "verifying",
    "self-test": "testing",
    "re-learn": "testing",
    "switch": "testing",
}
"""What is reported during each step"""

Act = Callable[[Path, Event], object]
"""Does something with a bundle folder; raises `AsdError`; ends soon when told to"""


@dataclass(frozen=True, slots=True)
class Acts:
    """What an installation does with a bundle, besides moving files."""

    prove: Act
    """Tests it in a child"""
    relearn: Act
    """Learns with it, in a child, what the device has learnt on site"""


class Installer:
    """Brings bundles into a store, one at a time.

    Parameters
    ----------
    store
        Where they are going to lie.
    trust
        Whose bundles are taken.
    acts
        How they are tested.
    report
        Told at every step.
    tries
        Counts tests that the agent did not outlive.
    others
        Folders of bundles besides the installed ones that may have the same files.
    """

    def __init__(
        self,
        store: Store,
        trust: Trust,
        acts: Acts,
        *,
        report: Callable[[Report], None],
        tries: Tries,
        others: Collection[Path] = (DEFAULT_BUNDLE,),
    ) -> None:
        self._store = store
        self._trust = trust
        self._acts = acts
        self._tries = tries
        self._others = others
        self._tell = report
        self._now = Report("", 0, "verifying", "verify")

    def run(self, desired: Desired, fetcher: Fetcher, stop: Event | None = None) -> str:
        """Install a bundle and put it on trial.

        Parameters
        ----------
        stop
            Ends it at the next safe point when set; what was fetched is kept.

        Returns
        -------
        str
            Its identifier.

        Raises
        ------
        BundleError
            It was refused, and that was reported; what runs is as it was.
        """
        stop = stop or Event()
        self._now = Report(desired.id, desired.version, "verifying", "verify")
        staged: Staged | None = None
        try:
            manifest = self._verified(desired)
            self._enter("fetch", stop)
            staged = self._store.stage(desired.raw, desired.signature or None)
            self._fetch(staged, fetcher, stop)
            self._enter("verify", stop)
            staged.seal()
            self._test(staged, stop)
            self._switch(staged, manifest)
        except AsdError as error:
            refusal = _refusal(error)
            self._refuse(refusal, staged)
            raise refusal from error
        finally:
            if staged is not None:
                staged.close()
        return manifest.id

    def _verified(self, desired: Desired) -> Manifest:
        signature = desired.signature or None
        rejected = self._store.read().rejected
        manifest = verify(
            desired.raw, signature, self._trust, self._installed(), rejected
        )
        total = sum(entry.bytes for entry in manifest.files.values())
        self._now = replace(
            self._now, id=manifest.id, version=manifest.version, total=total
        )
        return manifest

    def _installed(self) -> int | None:
        """Version of the current bundle; None: none, or it is damaged."""
        try:
            return self._store.version()
        except BundleError as error:
            log.warning("update: %s", error)
            return None

    def _enter(self, step: Step, stop: Event) -> None:
        """Begin a step, unless nobody wants it any more."""
        if stop.is_set():
            raise BundleError(f"{self._now.id}: is no longer wanted", STOPPED)
        self._now = replace(self._now, state=STATES[step], step=step)
        log.info("update: %s version %d: %s", self._now.id, self._now.version, step)
        self._tell(self._now)

    def _fetch(self, staged: Staged, fetcher: Fetcher, stop: Event) -> None:
        here = [self._store.path(bundle) for bundle in self._store.bundles()]
        for folder in [*here, *self._others]:
            if staged.missing():
                staged.adopt(folder)
        try:
            fetcher.fetch(staged, stop, self._progress)
        except BundleError as error:
            if stop.is_set():
                raise BundleError(str(error), STOPPED) from error
            raise
        self._progress(self._now.total, self._now.total)

    def _progress(self, count: int, total: int) -> None:
        self._now = replace(self._now, bytes=count, total=total)
        self._tell(self._now)

    def _test(self, staged: Staged, stop: Event) -> None:
        try:
            self._enter("self-test", stop)
            self._tries.begin(staged.manifest.id)
            self._acts.prove(staged.path, stop)
            self._enter("re-learn", stop)
            self._acts.relearn(staged.path, stop)
            # From here on it takes no time and cannot be stopped.
            self._enter("switch", stop)
        finally:
            self._tries.end()

    def _switch(self, staged: Staged, manifest: Manifest) -> None:
        self._store.install(staged)
        try:
            self._store.change(lambda s: s.switched(manifest.id, manifest.version))
        except BundleError as error:
            if self._store.read().current != manifest.id:
                raise
            log.warning("update: %s is on trial, but %s", manifest.id, error)

    def _refuse(self, error: BundleError, staged: Staged | None) -> None:
        now, reason = self._now, error.reason
        if reason == STOPPED:
            return
        log.warning("update: %s: refused at %s: %s", now.id, now.step, reason)
        if staged is not None and reason in REMEMBERED:
            # Its signature was right, so it is this bundle that is to blame.
            with contextlib.suppress(BundleError):  # nothing may keep us from telling
                self._store.change(
                    lambda s: s.refused(now.id, reason, now.step, now.version)
                )
                staged.drop()
        waits = reason == "unavailable" and now.step == "fetch"
        state: State = "downloading" if waits else "rejected"
        self._tell(replace(now, state=state, reason=reason, detail=str(error)))


def _refusal(error: AsdError) -> BundleError:
    """Any error of ours as one of the bundle."""
    if isinstance(error, BundleError):
        return error
    reason = "no_runtime" if isinstance(error, RuntimeMissing) else "broken"
    return BundleError(str(error), reason)
