"""Who is sent a bundle, and who is not and why; decided before anything is sent."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from asd_agent.bundle.manifest import Manifest
from asd_agent.errors import ConfigError
from asd_export.device import FAILED, Device
from asd_export.fleet import Fleet

Action = Literal["send", "asked", "runs", "failed", "unfit"]
"""`send` the wish; it was `asked` before; it `runs` the bundle; it has `failed` with it
before and would refuse it; the bundle is `unfit` for it"""


@dataclass(frozen=True, slots=True)
class Row:
    """What is done with one device."""

    name: str
    action: Action
    why: str = ""
    """A sentence for a person"""


def choose(
    fleet: Fleet, named: Sequence[str], groups: Collection[str], everyone: bool
) -> tuple[str, ...]:
    """Names of the devices that are meant, each once, in order.

    Raises
    ------
    ConfigError
        A group has no device, or there is none at all.
    """
    found = set(named)
    for group in groups:
        own = {d.name for d in fleet.devices.values() if group in _groups(d)}
        if not own:
            known = sorted({g for d in fleet.devices.values() for g in _groups(d)})
            raise ConfigError(
                f"no device is in group {group}; groups that devices tell: "
                f"{', '.join(known) or 'none'}. A device tells its groups in info, "
                "from the key groups of its configuration"
            )
        found |= own
    if everyone:
        found |= {device.name for device in fleet.devices.values() if device.known}
    if not found:
        raise ConfigError(
            f"no device has ever said that it is there below {fleet.root}/. "
            "Check --root, and that the agents reach this broker"
        )
    return tuple(sorted(found))


def plan(devices: Iterable[Device], manifest: Manifest, wish: bytes) -> tuple[Row, ...]:
    """Decide about each device.

    Parameters
    ----------
    wish
        The message that would be sent.
    """
    return tuple(_row(device, manifest, wish) for device in devices)


def _row(device: Device, manifest: Manifest, wish: bytes) -> Row:
    name, report = device.name, device.report(manifest.id)
    phase = device.phase(manifest.id)
    fits = device.info.device_class if device.info else None
    if phase == "committed":
        return Row(name, "runs", "runs it already")
    if manifest.device_class not in {"any", fits or manifest.device_class}:
        return Row(
            name,
            "unfit",
            f"is of class {fits}, the bundle is for {manifest.device_class}",
        )
    if report and device.refused_for_good(manifest.id):
        again = "build a mended bundle with another id"
        return Row(name, "failed", f"{report.state} before ({report.reason}): {again}")
    if device.wish and device.wish.body == wish and phase not in FAILED:
        return Row(name, "asked", "was asked before")
    return Row(name, "send", _remark(device, manifest))


def _remark(device: Device, manifest: Manifest) -> str:
    """What a person should know of a device that is sent the wish."""
    if not device.known:
        return "was never seen; it gets the bundle when it comes. Is the name right?"
    running = device.running
    if running and running.version >= manifest.version:
        return f"runs {running.id}, version {running.version}: it may want a newer one"
    report = device.report(manifest.id)
    if report and report.state in FAILED:
        return f"{report.state} before ({report.reason}): is asked again"
    return "" if device.online else "is off; it gets the bundle when it returns"


def _groups(device: Device) -> tuple[str, ...]:
    return device.info.groups if device.info else ()
