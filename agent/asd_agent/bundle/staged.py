"""A bundle that is being fetched: a folder that grows until it can be installed.

A file that is not whole yet has a dot before its name, which no file of a bundle has.
What is there after a restart is hashed again and goes on from where it ended. While
a process fetches, no other one can (a lock on the folder).
"""

import contextlib
import logging
import os
import weakref
from pathlib import Path

from asd_agent.bundle.bundle import check_file, refuse_extra
from asd_agent.bundle.disk import CHUNK_BYTES, Disk, open_plain, read_plain, told
from asd_agent.bundle.lock import hold
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, FileEntry, parse
from asd_agent.bundle.signature import SIGNATURE_BYTES, SIGNATURE_FILE
from asd_agent.bundle.trust import MANIFEST_FILE
from asd_agent.errors import BundleError

log = logging.getLogger(__name__)

SPARE_BYTES = 4_194_304
"""Stay free beside a bundle, for what the agent writes all the time"""


class Staged:
    """What has come of a bundle so far. Its manifest was verified by the caller.

    Once nothing is missing `path` is a bundle that can be opened.

    Raises
    ------
    BundleError
        ``disk_full``: what is missing does not fit; ``unavailable``: another process
        fetches this bundle; ``malformed``; or the folder cannot be written.
    """

    def __init__(
        self, path: Path, raw: bytes, signature: bytes | None, disk: Disk
    ) -> None:
        self.path = path
        self.raw = raw
        self.signature = signature
        self.manifest = parse(raw)
        self._disk = disk
        self._whole: set[str] = set()
        with told(path), contextlib.ExitStack() as stack:
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                disk.remove(path)
            disk.make_folders(path)
            self._release = weakref.finalize(self, os.close, hold(path))
            stack.callback(self.close)
            self._begin()
            if self._needed() + SPARE_BYTES > disk.free_bytes(path):
                raise self._no_room()
            stack.pop_all()

    def missing(self) -> dict[str, FileEntry]:
        """Files that are not whole yet, by name."""
        return {
            name: entry
            for name, entry in self.manifest.files.items()
            if name not in self._whole
        }

    def partial(self, name: str) -> int:
        """Bytes of a file that are there: the fetch goes on after them."""
        if name in self._whole:
            return self._entry(name).bytes
        self._entry(name)
        try:
            return self._part(name).lstat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise BundleError(f"{self._part(name)}: {error.strerror}") from error

    def append(self, name: str, raw: bytes) -> None:
        """Write the next bytes of a file.

        Raises
        ------
        BundleError
            ``too_large``: these are more than the manifest says, nothing is written;
            ``disk_full``: what was there of this file is removed, to make room for
            all else that the device writes; ``not_plain``: something else lies there.
        """
        entry = self._entry(name)
        there = self.partial(name)
        if there + len(raw) > entry.bytes:
            raise BundleError(
                f"{name}: more than the {entry.bytes} bytes that the manifest says "
                "are sent. Build and push the bundle again",
                "too_large",
            )
        if not raw:
            return
        path = self._part(name)
        try:
            with told(path):
                self._append(path, raw)
        except BundleError as error:
            if error.reason != "disk_full":
                raise
            with contextlib.suppress(OSError):
                self._disk.remove(path)
            raise self._no_room() from error

    def finish(self, name: str) -> None:
        """See that a file is what the manifest says; from now on it is whole.

        Raises
        ------
        BundleError
            ``changed``: it is removed, and must be fetched from its beginning.
        """
        if name in self._whole:
            return
        entry = self._entry(name)
        path = self._part(name)
        with told(path):
            try:
                check_file(self.path, path.name, entry)
            except BundleError as error:
                if error.reason == "changed":
                    self._disk.remove(path)
                raise
            self._disk.rename(path, self.path / name)
        self._whole.add(name)

    def adopt(self, folder: Path) -> list[str]:
        """Copy what is missing from a bundle that has it; its names may differ.

        A copy, not a link: damage of the medium shall not reach two bundles at once.

        Returns
        -------
        list of str
            Files that need not be fetched any more.

        Raises
        ------
        BundleError
            The copy cannot be written. What cannot be read is left out.
        """
        try:
            other = parse(read_plain(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES))
        except (OSError, BundleError) as error:
            log.info("nothing is taken from %s: %s", folder, error)
            return []
        names = {entry: name for name, entry in other.files.items()}
        adopted = []
        for name, entry in self.missing().items():
            if entry in names and self._copy(folder / names[entry], name):
                adopted.append(name)
        return adopted

    def seal(self) -> None:
        """Hash everything again and wait until the medium holds it.

        Raises
        ------
        BundleError
            ``missing_file``, ``extra_file``, ``not_plain``, ``changed``; or the
            medium fails.
        """
        for name, entry in self.manifest.files.items():
            check_file(self.path, name, entry)
        refuse_extra(self.path, self.manifest)
        with told(self.path):
            if not self._is_described():
                raise BundleError(
                    f"{self.path}: {MANIFEST_FILE} or {SIGNATURE_FILE} is not the one "
                    "that was verified. Fetch the bundle again",
                    "changed",
                )
            for path in sorted(self.path.iterdir()):
                self._disk.sync_path(path)
            self._disk.sync_path(self.path)

    def drop(self) -> None:
        """Remove all that was fetched."""
        with told(self.path, "cannot be removed"):
            self._disk.remove_tree(self.path)
        self.close()

    def close(self) -> None:
        """Let another process go on; what is there stays."""
        self._release()

    def _begin(self) -> None:
        """Keep what is of this bundle, or begin anew."""
        if self._is_ours():
            for name, entry in self.manifest.files.items():
                self._look(name, entry)
        else:
            for path in sorted(self.path.iterdir()):
                self._disk.remove_tree(path)
            self._disk.write_new(self.path / MANIFEST_FILE, self.raw)
        if not self._is_described():
            if self.signature is None:
                self._disk.remove_tree(self.path / SIGNATURE_FILE)
            else:
                self._disk.write_new(self.path / SIGNATURE_FILE, self.signature)
        for name, entry in self.missing().items():
            if entry.bytes == 0:  # nobody would ever append to it
                self._disk.write_new(self._part(name), b"")
                self.finish(name)

    def _is_ours(self) -> bool:
        names = {MANIFEST_FILE, SIGNATURE_FILE, *self.manifest.files}
        names |= {f".{name}" for name in self.manifest.files}
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name not in names or not entry.is_file(follow_symlinks=False):
                    log.warning("%s: begun anew, it holds %s", self.path, entry.name)
                    return False
        return self._holds(MANIFEST_FILE, self.raw, MAX_MANIFEST_BYTES)

    def _look(self, name: str, entry: FileEntry) -> None:
        """Take what a former process left of a file if it is good."""
        try:
            check_file(self.path, name, entry)
        except BundleError as error:
            if error.reason != "missing_file":
                log.warning("fetched again: %s", error)
                self._disk.remove(self.path / name)
        else:
            self._whole.add(name)
            self._disk.remove_tree(self._part(name))
            return
        if self.partial(name) >= max(entry.bytes, 1):
            try:
                self.finish(name)
            except BundleError as error:
                log.warning("fetched again: %s", error)

    def _is_described(self) -> bool:
        signature = self.path / SIGNATURE_FILE
        if self.signature is None:
            signed = not os.path.lexists(signature)
        else:
            signed = self._holds(SIGNATURE_FILE, self.signature, SIGNATURE_BYTES)
        return signed and self._holds(MANIFEST_FILE, self.raw, MAX_MANIFEST_BYTES)

    def _holds(self, name: str, raw: bytes, most: int) -> bool:
        try:
            return read_plain(self.path / name, most) == raw
        except FileNotFoundError:
            return False

    def _append(self, path: Path, raw: bytes) -> None:
        fd = self._disk.open(path, os.O_CREAT | os.O_APPEND)
        try:
            self._disk.write(fd, raw)
        finally:
            os.close(fd)

    def _copy(self, source: Path, name: str) -> bool:
        """Copy a file in place of what was fetched of it; whether it is whole."""
        with told(self.path):
            self._disk.write_new(self._part(name), b"")
        try:
            with open_plain(source) as file:
                while raw := file.read(CHUNK_BYTES):
                    self.append(name, raw)
            self.finish(name)
        except OSError as error:
            log.warning("%s: cannot be read: %s", source, error.strerror)
            return False
        except BundleError as error:
            if error.reason not in {"changed", "too_large"}:
                raise
            log.warning("%s is damaged: %s", source, error)
            with told(self.path):
                self._disk.remove_tree(self._part(name))
            return False
        return True

    def _needed(self) -> int:
        return sum(e.bytes - self.partial(n) for n, e in self.missing().items())

    def _no_room(self) -> BundleError:
        return BundleError(
            f"{self.path}: the disk is full: {self._needed() + SPARE_BYTES} bytes are "
            f"needed for {self.manifest.id}, {self._disk.free_bytes(self.path)} are "
            "free. Make room; the fetch goes on from where it ended",
            "disk_full",
        )

    def _entry(self, name: str) -> FileEntry:
        if name not in self.manifest.files:
            raise BundleError(f"{self.manifest.id} has no file {name}", "extra_file")
        return self.manifest.files[name]

    def _part(self, name: str) -> Path:
        return self.path / f".{name}"
