"""Small files in which the kernel says something."""

import os
from pathlib import Path

_MOST_BYTES = 4096
"""What such a file has at most"""


def text(path: Path | str) -> str | None:
    """Content of a small file, without its line end; None: it cannot be read."""
    try:
        # Not a file object: its buffers cost more than what is read.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, _MOST_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(fd)
    except OSError:
        return None


def number(path: Path, base: int = 10) -> int | None:
    """Content of a file that holds one whole number."""
    try:
        return int(text(path) or "", base)
    except ValueError:
        return None
