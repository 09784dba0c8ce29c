"""Disks of a few megabytes, really mounted; needs root."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of so many bytes; it is unmounted at the end."""
    image, root = folder / "image", folder / "mount"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    _run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(root))
    try:
        yield root
    finally:
        _unmount(root)


def remount(root: Path, how: str) -> None:
    """Mount it again, ``ro`` or ``rw``."""
    _run("mount", "-o", f"remount,{how}", str(root))


def fill(root: Path) -> Path:
    """Write a file that takes all the room that there is; return it."""
    path = root / "filler"
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return path


def _unmount(root: Path) -> None:
    words = ["umount", str(root)]
    for _ in range(100):
        if subprocess.run(words, check=False, capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    _run("umount", "--lazy", str(root))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
