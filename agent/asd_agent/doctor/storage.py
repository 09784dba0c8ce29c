"""Examines the state folder and the file system that it lies in."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asd_agent.config import Config
from asd_agent.doctor import kernel
from asd_agent.doctor.finding import Finding, fail, ok, warn
from asd_agent.doctor.words import bytes_text, ms_text
from asd_agent.errors import SiteError

LEAST_BYTES = 16_000_000
"""With less room nothing new can be kept"""
LEAST_INODES = 1_000
"""With fewer the next files may not be made"""
SLOW_S = 1.0
"""A write that takes longer hints at a dying card"""
BUNDLES = 2
"""Installed at the same time"""
FLEETING = frozenset({"tmpfs", "ramfs", "overlay"})
"""File systems that are gone after a restart, of the machine or of a container"""
UNSAFE = frozenset({"vfat", "exfat", "msdos", "nfs", "nfs4", "cifs", "fuse.sshfs"})
"""File systems on which a file is not surely whole after a loss of power"""


@dataclass(frozen=True, slots=True)
class Space:
    """Room of a file system."""

    total: int
    """Bytes"""
    free: int
    """Bytes that this user may write"""
    inodes: int
    """Files that there can be; 0: as many as fit"""
    free_inodes: int
    read_only: bool


def space_of(path: Path) -> Space:
    """Ask the system about the room at a path."""
    found = os.statvfs(path)
    return Space(
        total=found.f_blocks * found.f_frsize,
        free=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        free_inodes=found.f_favail,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )


def storage(
    config: Config,
    *,
    root: Path = kernel.ROOT,
    ask: Callable[[Path], Space] = space_of,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Finding]:
    """Whether the state folder can be written, and for how long."""
    folder = config.state_dir
    nearest = next(
        p for p in (folder, *folder.absolute().parents) if os.path.lexists(p)
    )
    space = ask(nearest)
    yield from _writable(folder, nearest, space, clock)
    yield from _room(config, space)
    mount = kernel.mount_of(nearest, root)
    if mount is not None:
        yield _medium(mount)


def _writable(
    folder: Path, nearest: Path, space: Space, clock: Callable[[], float]
) -> Iterator[Finding]:
    if space.read_only:
        yield fail(
            "folder",
            f"{folder}: its file system is mounted read-only",
            "look for errors of the disk with: sudo dmesg | grep -iE 'ext4|mmc|I/O'; "
            "then sudo mount -o remount,rw, or another card",
            SiteError,
        )
        return
    if nearest != folder:
        if os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir():
            yield ok("folder", f"{folder}: the agent will make it")
        else:
            yield _denied(folder, f"{nearest} cannot be written")
        return
    begun_s = clock()
    try:
        _write_and_flush(folder / f".doctor-{os.getpid()}")
    except OSError as error:
        yield _denied(folder, f"cannot be written: {error.strerror}")
        return
    took_s = clock() - begun_s
    figures = {"write_s": round(took_s, 4)}
    text = f"{folder}: can be written, a flushed write takes {ms_text(took_s)}"
    if took_s > SLOW_S:
        fix = "try another card or disk: this one may be dying; look at: sudo dmesg"
        yield warn("folder", text, fix, figures=figures)
    else:
        yield ok("folder", text, figures=figures)


def _write_and_flush(path: Path) -> None:
    try:
        with path.open("xb") as file:
            file.write(b"doctor\n")
            file.flush()
            os.fsync(file.fileno())
    finally:
        with suppress(OSError):
            path.unlink()


def _denied(folder: Path, why: str) -> Finding:
    return fail(
        "folder",
        f"{folder}: {why}",
        "run this as the user of the agent, give that user the folder, or set "
        "state_dir to one that it may write",
        SiteError,
    )


def _room(config: Config, space: Space) -> Iterator[Finding]:
    used, wanted = _used(config.state_dir), _wanted(config)
    text = f"{bytes_text(space.free)} of {bytes_text(space.total)} are free"
    figures = {
        "free_bytes": space.free,
        "total_bytes": space.total,
        "used_bytes": used,
        "wanted_bytes": wanted,
    }
    clean = "remove what is not needed: sudo journalctl --vacuum-size=100M, apt clean"
    if space.free < LEAST_BYTES:
        text += ": nothing new can be kept"
        yield fail("room", text, clean, SiteError, figures=figures)
    elif space.free + used < wanted:
        text += (
            f"; the configuration allows the agent {bytes_text(wanted)}, of which it "
            f"uses {bytes_text(used)}"
        )
        fix = (
            "take a larger card, or lower clips.max_bytes, learn.keep_bytes or "
            "mqtt.outbox.max_bytes"
        )
        yield warn("room", text, fix, figures=figures)
    else:
        text += f"; the agent may come to use {bytes_text(wanted)}"
        yield ok("room", text, figures=figures)
    if space.inodes and space.free_inodes < LEAST_INODES:
        yield _few_inodes(space)


def _few_inodes(space: Space) -> Finding:
    text = f"{space.free_inodes:,} of {space.inodes:,} inodes are free"
    fix = "remove folders with very many small files: sudo du --inodes -x / | sort -n"
    figures = {"free_inodes": space.free_inodes, "inodes": space.inodes}
    if space.free_inodes == 0:
        text += ": no file can be made"
        return fail("inodes", text, fix, SiteError, figures=figures)
    return warn("inodes", text, fix, figures=figures)


def _wanted(config: Config) -> int:
    """Bytes that the agent may come to use."""
    kept = sum(source.learn.keep_bytes for source in config.sources)
    outbox = config.mqtt.outbox.max_bytes if config.mqtt else 0
    bundles = 0 if config.bundle.path else BUNDLES * config.bundle.max_bytes
    return int(config.clips.max_bytes + outbox + kept + bundles)


def _used(folder: Path) -> int:
    """Bytes below a folder, as far as this user may look."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size  # noqa: PTH118
    return total


def _medium(mount: kernel.Mount) -> Finding:
    on = f" on {mount.device}" if mount.device else ""
    text = f"{mount.kind}{on}, mounted on {mount.point}"
    figures = {"kind": mount.kind, "device": mount.device, "card": mount.card}
    if mount.kind in FLEETING:
        return warn(
            "medium",
            f"{text}: what is learnt is gone after a restart",
            "set state_dir to a folder on a disk; in a container mount a volume there",
            figures=figures,
        )
    if mount.kind in UNSAFE:
        return warn(
            "medium",
            f"{text}: files may be lost or torn when power fails",
            "set state_dir to a folder on ext4, btrfs or xfs of this machine",
            figures=figures,
        )
    if mount.card == "SD":
        text += ", an SD card"
    elif mount.card:
        text += ", soldered flash (eMMC)"
    return ok("medium", text, figures=figures)
