"""What changes the disk, so that it survives a crash and a power cut.

`Disk` is the one seam between the software and the medium: each primitive changes one
thing, and tests replace it to stop after any of them. Links are never followed, and
what is not a plain file is never opened.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

from asd_agent.errors import BundleError

CHUNK_BYTES = 1_048_576
"""Read and hashed at once"""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class NotPlain(OSError):
    """A link, a folder, a pipe or a device, where a plain file must be."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "is not a plain file", str(path))


class Disk:
    """Writes to a medium; each primitive is a point where power may fail."""

    # Primitives.

    def open(self, path: Path, flags: int) -> int:
        """Open a plain file to write; links are not followed."""
        fd = _open(path, flags | os.O_WRONLY)
        if os.fstat(fd).st_nlink > 1:  # it would be written under its other name too
            os.close(fd)
            raise NotPlain(path)
        return fd

    def write(self, fd: int, raw: bytes) -> None:
        """Write all of it."""
        rest = memoryview(raw)
        while rest:
            rest = rest[os.write(fd, rest) :]

    def sync(self, fd: int) -> None:
        """Wait until the medium holds a file, or the names in a folder."""
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file or folder another name; a file of that name is replaced."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """Remove a file, or a link itself."""
        path.unlink()

    def make_folder(self, path: Path) -> None:
        """Make a folder in one that is there."""
        path.mkdir()

    def remove_folder(self, path: Path) -> None:
        """Remove an empty folder."""
        path.rmdir()

    # Made of primitives.

    def sync_path(self, path: Path) -> None:
        """Wait until the medium holds this file, or the names in this folder."""
        # A folder may be a link: that of the state is one under DynamicUser=.
        follow = 0 if path.is_dir() else os.O_NOFOLLOW
        fd = os.open(path, os.O_RDONLY | follow | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.sync(fd)
        finally:
            os.close(fd)

    def write_new(self, path: Path, raw: bytes, *, sync: bool = False) -> None:
        """Write a file from its beginning."""
        fd = self.open(path, os.O_CREAT | os.O_TRUNC)
        try:
            self.write(fd, raw)
            if sync:
                self.sync(fd)
        finally:
            os.close(fd)

    def write_whole(self, path: Path, raw: bytes) -> None:
        """Replace a file: after a power failure it is the old one or the new one."""
        partial = path.with_name(path.name + ".partial")
        try:
            self.write_new(partial, raw, sync=True)
            self.rename(partial, path)
        except OSError:
            with contextlib.suppress(OSError):
                self.remove(partial)
            raise
        self.sync_path(path.parent)

    def make_folders(self, path: Path) -> None:
        """Make a folder with those above it, and make their names last."""
        if not path.is_dir():
            self.make_folders(path.parent)
            with contextlib.suppress(FileExistsError):
                self.make_folder(path)
            self.sync_path(path.parent)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with all in it, or a file or link of that name."""
        if path.is_symlink() or not path.is_dir():
            with contextlib.suppress(FileNotFoundError):
                self.remove(path)
            return
        for entry in sorted(path.iterdir()):
            self.remove_tree(entry)
        self.remove_folder(path)

    def free_bytes(self, folder: Path) -> int:
        """Bytes that this user can still write to the medium of a folder."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file to read.

    Raises
    ------
    OSError
        It is missing, cannot be read, or is no plain file (`NotPlain`).
    """
    return os.fdopen(_open(path, os.O_RDONLY), "rb")


def read_plain(path: Path, most: int) -> bytes:
    """Read a plain file: all of it, or the first `most` + 1 bytes.

    Raises
    ------
    OSError
        As `open_plain`.
    """
    with open_plain(path) as file:
        return file.read(most + 1)


def hash_plain(path: Path, most: int) -> tuple[int, str]:
    """Bytes in a plain file and their SHA-256; stops after `most` + 1 bytes.

    Raises
    ------
    OSError
        As `open_plain`.
    """
    digest = hashlib.sha256()
    count = 0
    with open_plain(path) as file:
        while count <= most:
            raw = file.read(min(CHUNK_BYTES, most + 1 - count))
            if not raw:
                break
            digest.update(raw)
            count += len(raw)
    return count, digest.hexdigest()


@contextlib.contextmanager
def told(path: Path, what: str = "cannot be written") -> Generator[None, None, None]:
    """Turn an error of the system about `path` into one that a user can act on."""
    try:
        yield
    except NotPlain as error:
        raise BundleError(
            f"{error.filename}: is not a plain file but a link, a folder or a device. "
            "Remove it and install the bundle again",
            "not_plain",
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise BundleError(
                f"{path}: {what}: the disk is full. Make room and install the bundle "
                "again",
                "disk_full",
            ) from error
        raise BundleError(
            f"{error.filename or path}: {what}: {error.strerror or error}. Give this "
            "user the folder, or set state_dir to one that it may write"
        ) from error


def _open(path: Path, flags: int) -> int:
    # O_NONBLOCK: a pipe would be waited for before it can be refused.
    guards = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | guards, 0o644)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            raise NotPlain(path) from error
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotPlain(path)
    return fd
