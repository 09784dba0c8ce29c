"""Examines the computer: clock, heat, power supply, memory."""

import platform
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from asd_agent.doctor import kernel
from asd_agent.doctor.finding import Finding, fail, ok, warn
from asd_agent.doctor.words import bytes_text
from asd_agent.errors import RuntimeMissing
from asd_agent.health.heat import cpu_temperature_c, read_throttling

EARLIEST, LATEST = 2026, 2100
"""Years between which the clock can be right"""
HOT_C = 80.0
"""Degrees from where a Raspberry Pi slows down"""
LOW_BYTES = 200_000_000
"""Memory that the agent and the test of a new bundle need"""
_TROUBLES = {
    "under_voltage": "the supply voltage is too low",
    "frequency_capped": "the clock rate of the CPU is limited",
    "throttled": "the CPU is slowed down",
    "soft_temperature_limit": "the CPU is at its limit of temperature",
}


def clock(now: datetime, synced: bool) -> Iterator[Finding]:
    """Whether the time can be believed.

    Parameters
    ----------
    now
        By this machine, UTC.
    synced
        Whether a time server has set it.
    """
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    figures = {"synced": synced, "year": now.year}
    set_it = (
        "sudo timedatectl set-ntp true; without the internet name a time server of "
        "the plant: NTP= in /etc/systemd/timesyncd.conf"
    )
    if not EARLIEST <= now.year <= LATEST:
        text = f"{shown} cannot be right: no certificate is valid then"
        yield fail("clock", text, set_it, figures=figures)
    elif not synced:
        text = f"{shown}, not set by a time server: stamps of decisions may be wrong"
        yield warn("clock", text, set_it, figures=figures)
    else:
        yield ok("clock", f"{shown}, set by a time server", figures=figures)


def temperature(root: Path = kernel.ROOT) -> Iterator[Finding]:
    """How hot the CPU is."""
    found_c = cpu_temperature_c(root)
    if found_c is None:
        yield ok("temperature", "this machine does not say")
    elif found_c >= HOT_C:
        yield warn(
            "temperature",
            f"{found_c:.0f} °C: from {HOT_C:.0f} °C a CPU slows down",
            "give it a heat sink or air, or move it away from the machine",
            figures={"temperature_c": found_c},
        )
    else:
        yield ok("temperature", f"{found_c:.0f} °C", figures={"temperature_c": found_c})


def power(root: Path = kernel.ROOT) -> Iterator[Finding]:
    """Whether the processor is slowed down, and why."""
    found = read_throttling(root)
    if found is None:
        return  # this machine does not say
    figures = {"now": " ".join(found.now), "since_boot": " ".join(found.since_boot)}
    then = [word for word in found.since_boot if word not in found.now]
    if not found.now and not then:
        yield ok("power", "enough; the processor is not slowed down", figures=figures)
        return
    parts = [f"now {_TROUBLES[word]}" for word in found.now]
    parts += [f"since the start at some time {_TROUBLES[word]}" for word in then]
    fix = "give it a heat sink or air; see also: cpupower frequency-info"
    if "under_voltage" in (*found.now, *then):
        fix = (
            "use the supply that belongs to the board and a short thick cable: at low "
            "voltage USB microphones drop out"
        )
    yield warn("power", "; ".join(parts), fix, figures=figures)


def memory(root: Path = kernel.ROOT) -> Iterator[Finding]:
    """Whether there is room for the agent."""
    found = kernel.memory_bytes(root)
    if found is None:
        yield ok("memory", "this machine does not say")
        return
    total, free = found
    text = f"{bytes_text(free)} of {bytes_text(total)} can be used"
    figures = {"total_bytes": total, "available_bytes": free}
    if free < LOW_BYTES:
        yield warn(
            "memory",
            f"{text}; the agent and the test of a new bundle want "
            f"{bytes_text(LOW_BYTES)}",
            "stop other programs; see which are large with: ps aux --sort -rss | head",
            figures=figures,
        )
    else:
        yield ok("memory", text, figures=figures)


def computer(
    root: Path = kernel.ROOT, bits: int = 8 * struct.calcsize("P")
) -> Iterator[Finding]:
    """What kind of computer this is.

    Parameters
    ----------
    bits
        Of an address of this program: a 64-bit kernel can run 32-bit programs.
    """
    name = kernel.model(root)
    inside = kernel.container(root)
    where = f", in a container ({inside})" if inside else ""
    board = f"{name}, " if name else ""
    text = f"{board}{platform.machine()}, Linux {platform.release()}{where}"
    if bits != 64:
        yield fail(
            "computer",
            f"{text}: a {bits}-bit system",
            "install the 64-bit system: model runtimes have no 32-bit packages",
            RuntimeMissing,
            figures={"bits": bits},
        )
    else:
        yield ok("computer", text, figures={"bits": bits})
