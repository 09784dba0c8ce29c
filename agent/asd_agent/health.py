"""How the agent and its machine are doing."""

import ctypes
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

_ADJTIMEX_BYTES = 512
"""More than the kernel's struct timex has on any architecture"""
_TIME_ERROR = 5
"""What adjtimex(2) returns while no time server has set the clock"""


def rss_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """Memory of this process that is resident, bytes."""
    pages = int(statm.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def clock_synced() -> bool:
    """Whether a time server has set the wall clock; False where nobody knows."""
    adjtimex = _adjtimex()
    if adjtimex is None:
        return False
    # All zero asks and changes nothing.
    state: int = adjtimex(ctypes.create_string_buffer(_ADJTIMEX_BYTES))
    return 0 <= state < _TIME_ERROR


@cache
def _adjtimex() -> Callable[[object], int] | None:
    """The system call; looked up once, for it is asked with every decision."""
    try:
        found: Callable[[object], int] = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    return found
