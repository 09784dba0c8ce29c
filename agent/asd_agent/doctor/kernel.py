"""What the Linux kernel says about this machine, as values.

Every reader takes the folder that stands for ``/``, and gives None where the kernel
says nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from asd_agent.health.read import text

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system that is mounted."""

    point: str
    """Folder it is mounted on"""
    kind: str
    """Such as ``ext4``"""
    device: str
    """Such as ``mmcblk0p2``; empty if it has none"""
    options: frozenset[str]
    """Such as ``ro``"""
    card: str
    """``SD`` or ``MMC`` if it lies on one; else empty"""


def lines(path: Path) -> list[str]:
    """Lines of a file of the kernel, of any length; none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def memory_bytes(root: Path = ROOT) -> tuple[int, int] | None:
    """Memory of the machine, and how much of it a new program can have."""
    found = {}
    for line in lines(root / "proc/meminfo"):
        name, _, rest = line.partition(":")
        value = rest.split()
        if value and value[0].isdigit():
            found[name] = int(value[0]) * 1024
    if "MemTotal" not in found or "MemAvailable" not in found:
        return None
    return found["MemTotal"], found["MemAvailable"]


def model(root: Path = ROOT) -> str | None:
    """Name of the board, such as ``Raspberry Pi 4 Model B Rev 1.4``."""
    for place in ("sys/firmware/devicetree/base/model", "proc/device-tree/model"):
        name = (text(root / place) or "").rstrip("\0")
        if name:
            return name
    return None


def container(root: Path = ROOT) -> str | None:
    """Kind of container that this runs in, such as ``docker``; None: in none."""
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    return text(root / "run/systemd/container") or None


def mount_of(path: Path, root: Path = ROOT) -> Mount | None:
    """The file system that a path, which need not exist, lies in."""
    place = os.path.realpath(path)
    best: tuple[int, Mount] | None = None
    for line in lines(root / "proc/self/mountinfo"):
        words = line.split()
        if "-" not in words[6:] or len(words) < 9:
            continue
        after = words.index("-", 6)
        point = _plain(words[4])
        if not (place == point or place.startswith(point.rstrip("/") + "/")):
            continue
        device = _device(words[2], words[after + 2], root)
        options = frozenset(words[5].split(","))
        mount = Mount(point, words[after + 1], device, options, _card(device, root))
        # Of two on the same folder the later one hides the other.
        if best is None or len(point) >= best[0]:
            best = len(point), mount
    return best[1] if best else None


def _plain(name: str) -> str:
    """Undo the octal numbers in which spaces are written."""
    for code in ("040", "011", "012", "134"):
        name = name.replace(f"\\{code}", chr(int(code, 8)))
    return name


def _device(number: str, source: str, root: Path) -> str:
    """Name of a block device; ``/dev/root`` is one by its number only."""
    link = root / "sys/dev/block" / number
    try:
        return link.readlink().name
    except OSError:
        return source.removeprefix("/dev/") if source.startswith("/dev/") else ""


def _card(device: str, root: Path) -> str:
    disk = device.partition("p")[0]
    if not disk.startswith("mmcblk"):
        return ""
    return text(root / "sys/block" / disk / "device/type") or "SD"
