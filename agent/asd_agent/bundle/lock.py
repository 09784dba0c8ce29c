"""Locks between processes; the kernel lets them go when a process ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Generator
from pathlib import Path

from asd_agent.bundle.disk import Disk
from asd_agent.errors import BundleError

WAIT_S = 10.0
"""Seconds to wait for the change of another process"""
POLL_S = 0.02


def hold(folder: Path) -> int:
    """Lock a folder for this process; closing what is returned lets it go.

    Raises
    ------
    BundleError
        ``unavailable``: another process has it.
    OSError
        It cannot be opened.
    """
    guards = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(folder, os.O_RDONLY | guards)
    if not _locks(fd):
        os.close(fd)
        raise BundleError(
            f"{folder}: another process installs this bundle. Wait for it",
            "unavailable",
        )
    return fd


def remove_unless_held(folder: Path, disk: Disk) -> None:
    """Remove a folder with all in it, unless a process has locked it.

    Raises
    ------
    OSError
        It cannot be removed.
    """
    if folder.is_symlink() or not folder.is_dir():
        disk.remove_tree(folder)
        return
    try:
        held = hold(folder)
    except BundleError:
        return
    try:
        disk.remove_tree(folder)
    finally:
        os.close(held)


@contextlib.contextmanager
def locked(path: Path, disk: Disk) -> Generator[None, None, None]:
    """Have a lock file to oneself, after whoever has it now.

    Raises
    ------
    BundleError
        ``unavailable``: somebody keeps it for more than `WAIT_S`.
    OSError
        It cannot be opened.
    """
    disk.make_folders(path.parent)
    fd = disk.open(path, os.O_CREAT)
    try:
        until_s = time.monotonic() + WAIT_S
        while not _locks(fd):
            if time.monotonic() > until_s:
                raise BundleError(
                    f"{path}: another process keeps it for over {WAIT_S:g} s. End that "
                    "process and try again",
                    "unavailable",
                )
            time.sleep(POLL_S)
        yield
    finally:
        os.close(fd)


def _locks(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
