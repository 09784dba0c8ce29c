"""How the agent and its machine are doing."""

import ctypes
import os
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
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return False
    # All zero asks and changes nothing.
    state: int = adjtimex(ctypes.create_string_buffer(_ADJTIMEX_BYTES))
    return 0 <= state < _TIME_ERROR
