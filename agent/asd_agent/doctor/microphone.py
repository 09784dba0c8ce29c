"""Examines whether the microphone of a source can be had: device node and device."""

import errno
import grp
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from asd_agent.capture import asound, portaudio
from asd_agent.capture.device import Device
from asd_agent.config import SourceConfig
from asd_agent.doctor import kernel
from asd_agent.doctor.finding import Figure, Finding, fail, ok, refused, skip, warn
from asd_agent.doctor.running import Running
from asd_agent.doctor.words import number
from asd_agent.errors import SoundError

IN_CONTAINER = (
    "give the container the sound cards: docker run --device /dev/snd --group-add "
    "audio (in compose: devices and group_add)"
)
JOIN = (
    "sudo usermod -aG audio $USER, then log in again; a service needs "
    "SupplementaryGroups=audio"
)


def nodes(
    root: Path = kernel.ROOT, open_node: Callable[[Path], None] | None = None
) -> Iterator[Finding]:
    """Whether every capture device can be opened: lists of devices do not show that.

    Parameters
    ----------
    open_node
        Opens a node and closes it, or raises OSError.
    """
    found = sorted((root / "dev/snd").glob("pcmC*D*c"))
    contained = kernel.container(root)
    if not found:
        text = "/dev/snd has no capture device"
        if contained:
            text += f" in this container ({contained})"
        yield ok("device nodes", f"{text}: sound can only come by a sound server")
        return
    good, busy = 0, []
    for node in found:
        try:
            (open_node or open_once)(node)
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.EAGAIN):
                busy.append(node)
                continue
            yield _closed(node, error, contained, root)
        else:
            good += 1
    if good or busy:
        text = f"{number(good + len(busy), 'capture device')} may be opened"
        if busy:
            names = ", ".join(f"{n.name} by {_holder(n, root)}" for n in busy)
            text += f"; in use: {names}"
        yield ok("device nodes", text, figures={"nodes": good, "busy": len(busy)})


def open_once(node: Path) -> None:
    """Open a device without waiting for it, and close it.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    os.close(os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def device(
    source: SourceConfig, find: Callable[[str], Device], root: Path = kernel.ROOT
) -> tuple[Device | None, Finding]:
    """Look for the device that a source names, and its channel."""
    try:
        with portaudio.no_stderr():
            found = find(str(source.microphone))
    except SoundError as error:
        contained = kernel.container(root)
        nothing = not any((root / "dev/snd").glob("pcmC*D*c"))
        fix = IN_CONTAINER if contained and nothing else ""
        return None, refused("device", error, fix)
    text = (
        f"{found.name}, {found.host_api}, {number(found.channels, 'channel')}, "
        f"{found.rate_hz:,} Hz"
    )
    figures: dict[str, Figure] = {
        "id": found.id,
        "channels": found.channels,
        "rate_hz": found.rate_hz,
        "card": found.card,
    }
    if source.channel >= found.channels:
        return None, fail(
            "device",
            f"{text}; channel {source.channel} of the configuration is not there",
            f"set channel to 0{f' to {found.channels - 1}' * (found.channels > 1)}",
            SoundError,
            figures=figures,
        )
    return found, ok("device", text, figures=figures)


def in_use(found: Device, agent: Running, root: Path = kernel.ROOT) -> Finding | None:
    """Say that nobody else can listen while the agent does; None: one can."""
    holder = asound.holder(found.card, root) if found.card is not None else ""
    if not holder or agent is Running.NO:
        return None
    return skip(
        "sound",
        f"not listened to: in use by {holder}, and the agent {agent.value}",
        "look at the agent's health topic; or stop it and come again: sudo systemctl "
        "stop asd-agent",
    )


def _closed(node: Path, error: OSError, contained: str | None, root: Path) -> Finding:
    place = f"/{node.relative_to(root)}"
    text = f"{place} cannot be opened: {error.strerror}"
    if error.errno == errno.EACCES:
        owner = ""
        with suppress(OSError, KeyError):
            info = node.stat()
            group = grp.getgrgid(info.st_gid).gr_name
            owner = f" (group {group}, {stat.filemode(info.st_mode)[1:]})"
        fix = IN_CONTAINER if contained else JOIN
        return fail("device nodes", text + owner, fix, SoundError)
    if error.errno == errno.EPERM:
        fix = IN_CONTAINER if contained else "DeviceAllow=char-alsa rw in the service"
        return fail("device nodes", text, fix, SoundError)
    fix = "plug the device in again: sudo dmesg | tail"
    return warn("device nodes", text, fix)


def _holder(node: Path, root: Path) -> str:
    card = node.name.removeprefix("pcmC").partition("D")[0]
    return asound.holder(int(card), root) if card.isdigit() else "another program"
