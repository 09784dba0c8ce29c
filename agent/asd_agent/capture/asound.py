"""What the Linux kernel says about sound cards: identity, holder, permission."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class UsbCard:
    """What tells one USB sound card from another, whatever its number."""

    product: str
    """Vendor and product in hexadecimal, such as ``0d8c:0014``"""
    serial: str
    """Serial number; empty where the maker gave none"""
    port: str
    """Bus and ports that it is plugged into, such as ``1-1.2``; may be empty"""


def usb_card(card: int, root: Path = ROOT) -> UsbCard | None:
    """Identify a card, or None if it is not a USB one.

    ``/proc/asound`` is hidden in most containers, where ``/sys`` is not.
    """
    interface = root / f"sys/class/sound/card{card}/device"
    device = interface.resolve().parent
    ids = [_text(device / name) for name in ("idVendor", "idProduct")]
    product = _text(root / f"proc/asound/card{card}/usbid") or ":".join(
        filter(None, ids)
    )
    if not product:
        return None
    on_usb = all(ids)
    return UsbCard(
        product.lower(),
        _text(device / "serial") if on_usb else "",
        device.name if on_usb else "",
    )


def card_id(card: int, root: Path = ROOT) -> str:
    """Name that a driver gives its card, such as ``sndrpihifiberry``; may be empty.

    Unlike its number it does not change when another card is plugged in.
    """
    return _text(root / f"proc/asound/card{card}/id") or _text(
        root / f"sys/class/sound/card{card}/id"
    )


def holder(card: int, root: Path = ROOT) -> str:
    """Name the process that captures from a card, such as ``arecord (711)``.

    Empty if there is none, or none that may be known.
    """
    statuses = (root / f"proc/asound/card{card}").glob("pcm*c/sub*/status")
    for status in sorted(statuses):
        for line in _text(status).splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "owner_pid":
                pid = value.strip()
                return f"{_text(root / f'proc/{pid}/comm') or 'process'} ({pid})"
    return ""


def forbidden(root: Path = ROOT) -> list[Path]:
    """List the capture devices that this user may not open."""
    nodes = sorted((root / "dev/snd").glob("pcmC*D*c"))
    return [node for node in nodes if not os.access(node, os.R_OK)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
