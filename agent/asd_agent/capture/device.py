"""One capture device: its lasting name, and whether the user means it."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.capture import asound
from asd_agent.errors import SoundError

_CARD = re.compile(r"\(hw:(\d+),(\d+)\)")
NUMBER = re.compile(r"\d+|.*\b(index|hw|plughw):\d.*", re.IGNORECASE)
"""A place that another device takes when something is plugged in"""


@dataclass(frozen=True, slots=True)
class Device:
    """One capture device."""

    index: int
    """Its number in PortAudio: changes when something is plugged in"""
    name: str
    """Its name in PortAudio"""
    id: str
    """``usb:VENDOR:PRODUCT[:SERIAL][@PORT]`` or ``card:ID``, which last, or its name"""
    full_id: str
    """`id` with the port in any case: its twin may be there another time"""
    host_api: str
    """Sound system that it belongs to, such as ``ALSA``"""
    channels: int
    """Channels that it can capture"""
    rate_hz: int
    """Hertz that it runs at unless told otherwise"""
    default: bool
    """Whether the system captures from it unless told otherwise"""
    card: int | None
    """Number of its ALSA card, if it is one"""


def describe(
    infos: Iterable[Mapping[str, Any]],
    host_apis: Sequence[Mapping[str, Any]],
    default: int,
    root: Path = asound.ROOT,
) -> list[Device]:
    """Make devices of what PortAudio lists; outputs and ``null`` are left out.

    Parameters
    ----------
    infos, host_apis : sequences of mappings
        As PortAudio gives them.
    default : int
        Index of the default input, below 0 if there is none.
    root : Path
        Where ``/proc`` and ``/sys`` are looked for.
    """
    inputs = [i for i in infos if i["max_input_channels"] and i["name"] != "null"]
    places = [_place(info["name"]) for info in inputs]
    ids = _ids({card for card, _ in places if card is not None}, root)
    devices = []
    for info, (card, pcm) in zip(inputs, places, strict=True):
        part = f",{pcm}" if pcm and card in ids else ""
        name = _CARD.sub("", info["name"]).strip()
        brief, full = ids.get(card, (name, name))
        devices.append(
            Device(
                index=int(info["index"]),
                name=info["name"],
                id=brief + part,
                full_id=full + part,
                host_api=host_apis[info["hostapi"]]["name"],
                channels=int(info["max_input_channels"]),
                rate_hz=round(info["default_samplerate"]),
                default=info["index"] == default,
                card=card,
            )
        )
    return devices


def _place(name: str) -> tuple[int | None, int]:
    """Card and device of an ALSA name such as ``USB Audio: - (hw:1,0)``."""
    found = _CARD.search(name)
    return (int(found[1]), int(found[2])) if found else (None, 0)


def _ids(cards: Iterable[int], root: Path) -> dict[int | None, tuple[str, str]]:
    """Identify cards: USB ones briefly and with the port, twins always with it."""
    usb = {card: asound.usb_card(card, root) for card in cards}
    named = {card: asound.card_id(card, root) for card in usb}
    brief = {
        card: ":".join(filter(None, ("usb", found.product, found.serial)))
        for card, found in usb.items()
        if found
    }
    full = {
        card: f"{brief[card]}@{found.port}" if found.port else brief[card]
        for card, found in usb.items()
        if found
    }
    times = Counter(brief.values())
    ids: dict[int | None, tuple[str, str]] = {
        card: (f"card:{name}", f"card:{name}")
        for card, name in named.items()
        if name and card not in brief
    }
    return ids | {
        card: (full[card] if times[name] > 1 else name, full[card])
        for card, name in brief.items()
    }


def choose(wanted: str, devices: Sequence[Device], root: Path = asound.ROOT) -> Device:
    """Choose the one device that the user means.

    Parameters
    ----------
    wanted : str
        ``usb:VENDOR:PRODUCT[:SERIAL][@PORT]``, ``card:ID``, ``default``, a name or
        a part of one name. Numbers are refused: another device has them tomorrow.

    Raises
    ------
    SoundError
        No device answers to it, or several do, or it holds a number.
    """
    if not devices:
        raise SoundError(f"microphone {wanted!r}: {why_none(root)}")
    text = wanted.casefold()
    if NUMBER.fullmatch(text):
        raise SoundError(_why_no_number(wanted, devices))
    matches = _matches(text, devices)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise SoundError(
            f"microphone {wanted!r} is one of several: {_listed(matches)}; "
            "write the whole of one"
        )
    there = _listed(_nearest(text, devices))
    raise SoundError(
        f"microphone {wanted!r} is not there; found: {there}; "
        "write one of these, or check the cable"
    )


def _matches(text: str, devices: Sequence[Device]) -> list[Device]:
    """Devices that answer to a name in lower case, the exact ones if there are."""
    if text == "default":
        return [d for d in devices if d.default]
    if not text:
        return []
    if text.startswith("card:"):
        return [d for d in devices if d.id.casefold() == text]
    if text.startswith("usb:"):
        longer = (f"{text}:", f"{text}@")
        exact = [d for d in devices if text in (d.id.casefold(), d.full_id.casefold())]
        return exact or [d for d in devices if d.full_id.casefold().startswith(longer)]
    exact = [d for d in devices if d.name.casefold() == text]
    return exact or [d for d in devices if text in d.name.casefold()]


def _why_no_number(wanted: str, devices: Sequence[Device]) -> str:
    text = wanted.casefold()
    meant = [d for d in devices if text in (d.name.casefold(), f"index:{d.index}")]
    write = f"write {_listed(meant)}" if meant else "write a name that lasts"
    return (
        f"microphone {wanted!r} holds a number that changes when something is plugged "
        f"in; {write}, as asd-agent devices prints it"
    )


def _nearest(text: str, devices: Sequence[Device]) -> list[Device]:
    def likeness(device: Device) -> float:
        names = (device.id.casefold(), device.name.casefold())
        return max(difflib.SequenceMatcher(None, text, n).ratio() for n in names)

    return sorted(devices, key=likeness, reverse=True)


def _listed(devices: Iterable[Device]) -> str:
    return ", ".join(
        repr(d.id) if d.id == d.name else f"{d.id!r} ({d.name})" for d in devices
    )


def why_none(root: Path = asound.ROOT) -> str:
    """Say why there may be no capture device, and what to do."""
    forbidden = asound.forbidden(root)
    if forbidden:
        return (
            f"no permission to open {forbidden[0]}; add the user to the group audio: "
            "sudo usermod -aG audio $USER, then log in again"
        )
    return "no capture device found; plug one in, and look for it with arecord -l"


def table(devices: Sequence[Device], rates_hz: Mapping[int, Sequence[int]]) -> str:
    """Lay out the devices for a terminal.

    Parameters
    ----------
    devices : sequence of Device
    rates_hz : mapping
        Device index to the rates in hertz that open, see `devices.rates`.
    """
    rows = [("MICROPHONE", "NAME", "CHANNELS", "RATES THAT OPEN (HZ)")]
    for device in devices:
        rates = " ".join(map(str, rates_hz.get(device.index, ()))) or "none"
        mark = " (default)" if device.default else ""
        rows.append((device.id, f"{device.name}{mark}", str(device.channels), rates))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(t.ljust(w) for t, w in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )
