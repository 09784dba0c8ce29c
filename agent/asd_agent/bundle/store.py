"""The installed bundles of a device, and the state that says which of them runs.

::

    bundles/state.json      which runs, what was before it, what was rejected
    bundles/<id>/           a bundle, whole from the moment that it has this name
    bundles/.part-<id>/     one that is being fetched
    bundles/.gone-<id>/     one that is being removed

Each change of the state is on the medium before it is told. Several processes
may use one store: a lock puts their changes in a row.
"""

import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk, read_plain, told
from asd_agent.bundle.lock import locked, remove_unless_held
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, Manifest, parse
from asd_agent.bundle.staged import Staged
from asd_agent.bundle.state import BASE, FRESH, StoreState
from asd_agent.bundle.state_file import Broken, StateFile
from asd_agent.bundle.trust import MANIFEST_FILE, Trust, is_name
from asd_agent.errors import BundleError

log = logging.getLogger(__name__)

LOCK_FILE = ".lock"
PART, GONE = ".part-", ".gone-"
MAX_BYTES = 134_217_728
"""Largest bundle, all files together"""


class Store:
    """Bundles in a folder.

    Parameters
    ----------
    folder
        ``<state_dir>/bundles``; made when something is written.
    disk
        What writes.
    trust
        By which installed bundles are looked at when the state is broken or the agent
        starts; None: hashes alone count.
    max_bytes
        Largest bundle that is staged, all files together, bytes.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk | None = None,
        trust: Trust | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.folder = folder
        self._disk = disk or Disk()
        self._trust = trust
        self._max_bytes = max_bytes
        self._file = StateFile(folder, self._disk)
        self._staged: weakref.ref[Staged] | None = None

    def path(self, bundle: str) -> Path:
        """Where an installed bundle lies."""
        return self.folder / bundle

    def bundles(self) -> list[str]:
        """Identifiers of all that is installed, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if is_name(path.name) and path.is_dir() and not path.is_symlink()
        )

    def manifest(self, bundle: str) -> Manifest:
        """Manifest of an installed bundle, not verified again.

        Raises
        ------
        BundleError
            It is not there or not readable.
        """
        path = self.path(bundle) / MANIFEST_FILE
        with told(path, "cannot be read"):
            return parse(read_plain(path, MAX_MANIFEST_BYTES))

    def version(self) -> int | None:
        """Version of the current bundle; None: none was installed."""
        current = self.read().current
        return None if current == BASE else self.manifest(current).version

    def read(self) -> StoreState:
        """The state as it is; a broken one is mended first.

        Raises
        ------
        BundleError
            It cannot be read or mended.
        """
        try:
            return self._file.load()
        except Broken:
            return self.change(_same)

    def change(self, step: Callable[[StoreState], StoreState]) -> StoreState:
        """Take the state one step on; when this returns, the medium holds it.

        Parameters
        ----------
        step
            Gives the new state; an error that it raises leaves the old one.

        Raises
        ------
        BundleError
            The new current bundle is not installed, or the state cannot be written.
        """
        with told(self._file.path), locked(self.folder / LOCK_FILE, self._disk):
            return self._change(step)

    def stage(self, raw: bytes, signature: bytes | None) -> Staged:
        """Begin or go on with fetching a bundle, whose manifest was just verified.

        A store fetches one bundle at a time: what is left of another one, and is not
        being fetched by another process, is removed.

        Raises
        ------
        BundleError
            ``too_large``, ``disk_full``, ``unavailable``: see `Staged`.
        """
        manifest = parse(raw)
        total = sum(entry.bytes for entry in manifest.files.values())
        if total > self._max_bytes:
            raise BundleError(
                f"{manifest.id} has {total} bytes, at most {self._max_bytes} are "
                "allowed. Build a smaller one, or raise bundle.max_bytes",
                "too_large",
            )
        former = self._staged and self._staged()
        if former:
            former.close()
        path = self.folder / f"{PART}{manifest.id}"
        with told(self.folder):
            self._disk.make_folders(self.folder)
            for other in sorted(self.folder.glob(f"{PART}*")):
                if other != path:
                    remove_unless_held(other, self._disk)
        staged = Staged(path, raw, signature, self._disk)
        self._staged = weakref.ref(staged)
        return staged

    def install(self, staged: Staged) -> Path:
        """Give a bundle that was fetched whole its place; it does not run yet.

        Raises
        ------
        BundleError
            A file is missing, changed or too many; another bundle has its identifier;
            or the folder cannot be written. What runs is as it was.
        """
        path = self.path(staged.manifest.id)
        staged.seal()
        with told(self.folder), locked(self.folder / LOCK_FILE, self._disk):
            if self._has(staged):
                staged.drop()
            else:
                self._set_aside(path)
                self._disk.rename(staged.path, path)
            self._disk.sync_path(self.folder)
        staged.close()
        return path

    def start(self) -> StoreState:
        """Count this start of the agent, before anything of a bundle is loaded.

        A bundle on trial that was started too often, or a current bundle that is not
        whole or not trusted any more, makes room for what was before it. Nothing is
        removed.

        Raises
        ------
        BundleError
            The state cannot be read or written.
        """
        if not self.folder.is_dir():
            return FRESH
        with told(self._file.path), locked(self.folder / LOCK_FILE, self._disk):
            state = self._change(StoreState.started)
            while state.current != BASE and not self._is_whole(state.current):
                state = self._change(lambda state: state.fallen_back("broken"))
            return state

    def tidy(self) -> list[str]:
        """Remove all bundles but the current and the previous one.

        Returns
        -------
        list of str
            What was removed: what was learnt with it can go too.

        Raises
        ------
        BundleError
            The folder cannot be written.
        """
        if not self.folder.is_dir():
            return []
        with told(self.folder), locked(self.folder / LOCK_FILE, self._disk):
            state = self._change(_same)
            old = sorted(set(self.bundles()) - {state.current, state.previous})
            for bundle in old:
                self._set_aside(self.path(bundle))
            if old:
                self._disk.sync_path(self.folder)
            for path in sorted(self.folder.glob(f"{GONE}*")):
                self._disk.remove_tree(path)
            self._file.forget_broken()
        return old

    def _change(self, step: Callable[[StoreState], StoreState]) -> StoreState:
        try:
            old = self._file.load()
        except Broken as error:
            old = self._mend(str(error))
        if old.previous and old.previous not in self.bundles():
            old = old.bereft()
        new = step(old)
        if new == old:
            return old
        if new.current not in {BASE, old.current} and new.current not in self.bundles():
            raise BundleError(
                f"{self.path(new.current)}: is missing. Install {new.current} again",
                "missing_file",
            )
        self._file.write(new)
        return new

    def _mend(self, why: str) -> StoreState:
        """Set a broken state aside; the newest bundle that is whole is tried."""
        aside = self._file.set_aside()
        found = [bundle for bundle in self.bundles() if self._is_whole(bundle)]
        whole = {self.manifest(bundle).version: bundle for bundle in found}
        state = StoreState.found(whole)
        self._file.write(state)
        log.error(
            "%s was broken (%s): it is kept as %s; now on trial: %s",
            self._file.path,
            why,
            aside.name,
            state.current or "nothing, as no installed bundle is whole",
        )
        return state

    def _is_whole(self, bundle: str) -> bool:
        try:
            Bundle.open(self.path(bundle), self._trust)
        except BundleError as error:
            log.error("%s cannot be used: %s", bundle, error)
            return False
        return True

    def _has(self, staged: Staged) -> bool:
        """Whether this very bundle is installed and whole; else its place is free."""
        bundle = staged.manifest.id
        if bundle not in self.bundles():
            return False
        try:
            same = self.manifest(bundle) == staged.manifest
        except BundleError:
            return False
        if same:
            return self._is_whole(bundle)
        state = self._change(_same)
        if bundle in {state.current, state.previous}:
            raise BundleError(
                f"{bundle}: another bundle of this id is installed here. Build the new "
                "one under an id of its own",
                "changed",
            )
        return False

    def _set_aside(self, path: Path) -> None:
        """Take away what has the name of a bundle, all at once."""
        if os.path.lexists(path):
            gone = self.folder / f"{GONE}{path.name}"
            self._disk.remove_tree(gone)
            self._disk.rename(path, gone)


def _same(state: StoreState) -> StoreState:
    return state
