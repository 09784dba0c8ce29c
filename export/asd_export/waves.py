"""In which order devices are sent a bundle: a few first, then the rest."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from asd_agent.errors import ConfigError
from asd_export.device import Device

MAX_WAVES = 20
"""More is a mistake in typing"""


@dataclass(frozen=True, slots=True)
class Steps:
    """How many devices have the bundle after each wave, or who is first."""

    canaries: tuple[str, ...] = ()
    """Names of the first wave"""
    counts: tuple[tuple[int, bool], ...] = ()
    """So many devices, or per cent of them where the second is true"""


def parse_canary(text: str) -> Steps:
    """Read a number of devices, or names with commas between.

    Raises
    ------
    ValueError
        It is neither.
    """
    if text.isascii() and text.isdigit():
        return parse_waves(text)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(names):
        raise ValueError(f"{text!r} is neither a number nor names of devices")
    return Steps(canaries=names)


def parse_waves(text: str) -> Steps:
    """Read growing counts such as ``1,10,100%``.

    Raises
    ------
    ValueError
        It is not that.
    """
    counts = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})(%?)\s*", part, re.ASCII)
        if not found or int(found[1]) < 1 or (found[2] and int(found[1]) > 100):
            raise ValueError(f"{part!r} is no number of devices such as 10 or 50%")
        counts.append((int(found[1]), bool(found[2])))
    if len(counts) > MAX_WAVES:
        raise ValueError(f"at most {MAX_WAVES} waves")
    return Steps(counts=tuple(counts))


def split(
    devices: Sequence[Device], bundle: str, steps: Steps
) -> tuple[tuple[str, ...], ...]:
    """Names in each wave; nobody is left out.

    By number those go first that have the bundle or are at it, so that a rollout which
    was interrupted goes on with the same devices; then those that are online.

    Raises
    ------
    ConfigError
        A canary is not among the devices.
    """
    names = [device.name for device in sorted(devices, key=lambda d: _rank(d, bundle))]
    if steps.canaries:
        missing = [name for name in steps.canaries if name not in names]
        if missing:
            raise ConfigError(
                f"canaries that the bundle is not pushed to: {', '.join(missing)}. "
                "Name them with --to as well, or choose others"
            )
        rest = tuple(name for name in names if name not in steps.canaries)
        return tuple(wave for wave in (steps.canaries, rest) if wave)
    waves = []
    start = 0
    for count, percent in (*steps.counts, (100, True)):
        end = -(-len(names) * count // 100) if percent else count
        if names[start:end]:
            waves.append(tuple(names[start:end]))
            start = end
    return tuple(waves)


def _rank(device: Device, bundle: str) -> tuple[int, datetime, str]:
    never = datetime.max.replace(tzinfo=timezone.utc)
    phase = device.phase(bundle)
    report = device.report(bundle)
    if phase == "committed":
        return 0, report.ts if report else never, device.name
    if report or (device.wish and device.wish.id == bundle):
        return 1, never, device.name
    return 2 if device.online else 3, never, device.name
