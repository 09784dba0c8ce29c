"""What another process takes: memory and processor time, as Linux counts them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> tuple[float, float]:
    """Resident memory now and at most, millions of bytes."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = [
        re.search(rf"^{key}:\s+(\d+) kB", text, re.M) for key in ("VmRSS", "VmHWM")
    ]
    now, most = (int(match[1]) * 1024 / 1e6 for match in found if match)
    return now, most


def cpu_s(pid: int) -> float:
    """Processor time so far, with that of the system for it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    user, system = fields.split()[11:13]
    return (int(user) + int(system)) / TICKS


def children(pid: int) -> Iterator[int]:
    """Processes that a process has begun."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def own_mb(pid: int) -> float:
    """Memory that no other process shares, millions of bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    private = re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M)
    return sum(map(int, private)) * 1024 / 1e6
