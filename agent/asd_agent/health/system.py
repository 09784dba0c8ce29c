"""Facts of the machine: memory, disk, load, heat, power, clock.

Rules: what a machine does not have, or does not tell, is None. Nothing here raises
but `rss_bytes`, nothing writes to a disk, and no program is started.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from asd_agent.health.heat import Throttling, cpu_temperature_c, read_throttling
from asd_agent.health.read import text

_ADJTIMEX_BYTES = 512
"""More than the kernel's struct timex has on any architecture"""
_TIME_ERROR = 5
"""What adjtimex(2) returns while no time server has set the clock"""
_PARENT, _PAGES = 1, 21
"""Fields of /proc/<pid>/stat behind the name of the program"""


@dataclass(frozen=True, slots=True)
class Room:
    """The disk that a folder lies on."""

    free_bytes: int
    """Bytes that this user can still write"""
    total_bytes: int
    """Size of the file system"""
    writable: bool
    """Whether this user may write to the folder, and the disk takes it"""


@dataclass(frozen=True, slots=True)
class System:
    """The machine at one moment; None: it does not say."""

    cpu_temperature_c: float | None
    """Degrees Celsius of the hottest part of the processor"""
    throttling: Throttling | None
    """Why the processor is slower than it could be"""
    disk: Room | None
    """Where the state folder lies"""
    rss_bytes: int | None
    """Memory of this process that is resident, bytes"""
    children_rss_bytes: int | None
    """The same of the processes that it started; what they share counts in each"""
    clock_synced: bool
    """Whether a time server has set the wall clock; False where nobody knows"""
    uptime_s: float | None
    """Seconds since the machine was started"""
    load_1min: float | None
    """Programs that ran or waited to run, mean of the last minute"""
    cpu_count: int | None
    """Processors that this process may use"""

    @classmethod
    def read(cls, state_dir: Path, root: Path = Path("/")) -> "System":
        """Look at all of it; takes a few milliseconds.

        Parameters
        ----------
        state_dir
            Folder whose disk is looked at.
        root
            Where ``proc`` and ``sys`` lie.
        """
        return cls(
            cpu_temperature_c=cpu_temperature_c(root),
            throttling=read_throttling(root),
            disk=room(state_dir),
            rss_bytes=_own_rss_bytes(root),
            children_rss_bytes=children_rss_bytes(root),
            clock_synced=clock_synced(),
            uptime_s=_first_number(root / "proc" / "uptime"),
            load_1min=_first_number(root / "proc" / "loadavg"),
            cpu_count=cpu_count(),
        )


def rss_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """Memory of this process that is resident, bytes."""
    pages = int(statm.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def children_rss_bytes(root: Path = Path("/"), pid: int | None = None) -> int | None:
    """Resident memory of what a process started, and of what that started, bytes.

    Parameters
    ----------
    pid
        Of the process; None: this one.
    """
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for child, parent, resident in _processes(root):
        parents[child], pages[child] = parent, resident
    if not parents:
        return None
    family = {os.getpid() if pid is None else pid}
    found = 0
    while children := {c for c, parent in parents.items() if parent in family}:
        found += sum(pages[child] for child in children)
        family = children
        parents = {c: p for c, p in parents.items() if c not in children}
    return found * os.sysconf("SC_PAGE_SIZE")


def room(folder: Path) -> Room | None:
    """Look at the disk of a folder, without writing to it."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    writable = not found.f_flag & os.ST_RDONLY and os.access(folder, os.W_OK)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    return Room(free_bytes=free, total_bytes=total, writable=writable)


def cpu_count() -> int | None:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except (OSError, AttributeError):
        return os.cpu_count()


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


def _own_rss_bytes(root: Path) -> int | None:
    try:
        return rss_bytes(root / "proc" / "self" / "statm")
    except (OSError, ValueError, IndexError):
        return None


def _processes(root: Path) -> Iterator[tuple[int, int, int]]:
    """Number, parent and resident pages of every process that may be seen."""
    folder = str(root / "proc")  # hundreds of Path objects cost more than the reading
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        if not name.isdecimal():
            continue
        # A program may have any name, brackets and spaces included.
        fields = (text(f"{folder}/{name}/stat") or "").rpartition(")")[2].split()
        try:
            yield int(name), int(fields[_PARENT]), int(fields[_PAGES])
        except (IndexError, ValueError):
            continue  # it ended meanwhile


def _first_number(path: Path) -> float | None:
    try:
        return float((text(path) or "").split()[0])
    except (IndexError, ValueError):
        return None
