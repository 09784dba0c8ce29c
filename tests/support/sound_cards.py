"""Files as Linux shows them for USB sound cards, under a folder of a test."""

from pathlib import Path


def proc_card(root: Path, card: int, product: str) -> None:
    """Add ``/proc/asound/cardN``."""
    folder = root / f"proc/asound/card{card}"
    folder.mkdir(parents=True)
    (folder / "usbid").write_text(f"{product}\n")


def sys_card(
    root: Path, card: int, vendor: str, product: str, port: str, *, serial: str = ""
) -> None:
    """Add ``/sys/class/sound/cardN`` and the USB device that it belongs to."""
    device = root / "sys/devices/usb1" / port
    folder = device / f"{port}:1.0/sound/card{card}"
    folder.mkdir(parents=True)
    (folder / "device").symlink_to("../..")
    (device / "idVendor").write_text(f"{vendor}\n")
    (device / "idProduct").write_text(f"{product}\n")
    if serial:
        (device / "serial").write_text(f"{serial}\n")
    (root / "sys/class/sound").mkdir(parents=True, exist_ok=True)
    (root / f"sys/class/sound/card{card}").symlink_to(folder)
