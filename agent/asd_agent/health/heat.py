"""How hot the processor is, and whether it is slowed down for it or for bad power.

A Raspberry Pi says so in bits of its firmware, which newer kernels do not show any
more, and, about its voltage, as a sensor; other machines by their cooling devices and
clock rates.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asd_agent.health.read import number, text

KINDS = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""Words for what slows a processor down; their bits in this order from 0"""
_SINCE_BOOT = 16
"""Bit from which the same is said of all the time since the machine was started"""
_PLAUSIBLE_C = (-40.0, 150.0)
_PROCESSOR = re.compile(r"cpu|soc|pkg|tj|core", re.IGNORECASE)
_COOLS_PROCESSOR = re.compile(r"cpu|processor", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Throttling:
    """Why a processor is slower than it could be, in words of `KINDS`."""

    now: tuple[str, ...]
    """What holds now"""
    since_boot: tuple[str, ...]
    """What has been seen since the machine was started, where it remembers that"""


def cpu_temperature_c(root: Path = Path("/")) -> float | None:
    """Degrees Celsius of the hottest part of the processor.

    Where no sensor is known to be the processor's: of the hottest one at all.
    """
    found: dict[bool, float] = {}
    for zone in _all(root, "sys/class/thermal/thermal_zone*"):
        milli = number(zone / "temp")
        if milli is None or not _PLAUSIBLE_C[0] < milli / 1000 < _PLAUSIBLE_C[1]:
            continue
        processor = bool(_PROCESSOR.search(text(zone / "type") or ""))
        found[processor] = max(milli / 1000, found.get(processor, milli / 1000))
    return found.get(True, found.get(False))


def read_throttling(root: Path = Path("/")) -> Throttling | None:
    """Say what slows the processor down; None: the machine says nothing of it."""
    signs = [
        _firmware(root),
        _voltage(root),
        _cooling(root),
        _clock_rate(root),
    ]
    found = [sign for sign in signs if sign is not None]
    if not found:
        return None
    now = {kind for sign in found for kind in sign.now}
    since = {kind for sign in found for kind in sign.since_boot}
    return Throttling(_in_order(now), _in_order(since))


def _firmware(root: Path) -> Throttling | None:
    """What the firmware of a Raspberry Pi says.

    Once after each start of the machine the kernel warns that this is an old way; there
    is no other one to know of heat, or of what was before.
    """
    for path in _all(root, "sys/devices/platform/soc*/*:firmware/get_throttled"):
        bits = number(path, base=16)
        if bits is not None:
            return Throttling(_words(bits), _words(bits >> _SINCE_BOOT))
    return None


def _words(bits: int) -> tuple[str, ...]:
    return tuple(kind for at, kind in enumerate(KINDS) if bits >> at & 1)


def _voltage(root: Path) -> Throttling | None:
    """What the voltage sensor of a Raspberry Pi says."""
    for sensor in _all(root, "sys/class/hwmon/hwmon*"):
        if text(sensor / "name") == "rpi_volt":
            return _sign("under_voltage", number(sensor / "in0_lcrit_alarm"))
    return None


def _cooling(root: Path) -> Throttling | None:
    """Whether a cooling device slows the processor down."""
    steps = [
        step
        for device in _all(root, "sys/class/thermal/cooling_device*")
        if _COOLS_PROCESSOR.search(text(device / "type") or "")
        if (step := number(device / "cur_state")) is not None
    ]
    return _sign("throttled", max(steps, default=None))


def _clock_rate(root: Path) -> Throttling | None:
    """Whether a processor may not run as fast as it can."""
    capped = []
    for cpu in _all(root, "sys/devices/system/cpu/cpu*/cpufreq"):
        allowed = number(cpu / "scaling_max_freq")
        possible = number(cpu / "cpuinfo_max_freq")
        if allowed is not None and possible is not None:
            capped.append(allowed < possible)
    return _sign("frequency_capped", max(capped, default=None))


def _sign(kind: str, value: int | None) -> Throttling | None:
    if value is None:
        return None
    return Throttling((kind,) if value > 0 else (), ())


def _in_order(kinds: set[str]) -> tuple[str, ...]:
    return tuple(kind for kind in KINDS if kind in kinds)


def _all(root: Path, pattern: str) -> Iterator[Path]:
    """Files of a pattern; none where a folder cannot be read."""
    try:
        yield from sorted(root.glob(pattern))
    except OSError:
        return
