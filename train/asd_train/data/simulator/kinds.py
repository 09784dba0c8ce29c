"""What each machine type is built of, drawn at random for one individual."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np

from asd_train.data.simulator.fluid import Cavitation, Flow, Leak, Strokes
from asd_train.data.simulator.motion import Motion
from asd_train.data.simulator.rotating import (
    Bearing,
    Gear,
    Motor,
    Rattle,
    Rub,
    Shaft,
)
from asd_train.data.simulator.signal import Signal
from asd_train.data.simulator.slide import Carriage


class Part(Protocol):
    """One source of sound within a machine."""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone, one value a sample."""
        ...


@dataclass(frozen=True, slots=True)
class Build:
    """The parts of one individual."""

    turns_hz: float
    """Turns or cycles a second at nominal speed"""
    structure: tuple[Part, ...]
    """Heard through the casing"""
    air: tuple[Part, ...]
    """Heard directly"""


class _Draw:
    """Draws the numbers of one individual."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def real(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def log(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def whole(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one(self, values: Sequence[float]) -> float:
        return float(values[int(self.rng.integers(len(values)))])

    def falling(self, count: int, first: float, spread: float) -> tuple[float, ...]:
        """Amplitudes of harmonics, each with its own luck."""
        luck = self.rng.lognormal(0, spread, count)
        return tuple(float(v) for v in first * luck / np.arange(1, count + 1))

    def rings(self, count: int, low_hz: float, high_hz: float) -> tuple[float, ...]:
        return tuple(sorted(self.log(low_hz, high_hz) for _ in range(count)))

    def decays(self, count: int, low_s: float, high_s: float) -> tuple[float, ...]:
        return tuple(self.log(low_s, high_s) for _ in range(count))

    def bearing(self, ratio: float) -> Bearing:
        return Bearing(
            ratio,
            balls=self.whole(7, 12),
            diameter_ratio=self.real(0.16, 0.28),
            contact_rad=self.real(0.0, 0.4),
            ring_hz=self.rings(3, 1800, 6500),
            ring_s=self.decays(3, 0.001, 0.004),
            roughness=self.log(0.02, 0.08),
        )

    def motor(self) -> Motor:
        inverter = self.rng.uniform() < 0.4
        return Motor(
            mains_hz=self.one((50.0, 60.0)),
            hum=self.falling(5, self.log(0.1, 0.4), 0.6),
            slots=self.whole(18, 44),
            slot_level=self.log(0.02, 0.15),
            whistle_hz=self.one((2000.0, 3000.0, 4000.0, 6000.0)),
            whistle_level=self.log(0.02, 0.1) if inverter else 0.0,
        )

    def rattle(self, ratio: float, level: float = 0.9) -> Rattle:
        return Rattle(
            ratio, self.rings(2, 700, 3500), self.decays(2, 0.004, 0.015), level
        )

    def rub(self, level: float) -> Rub:
        low_hz = self.log(800, 2000)
        return Rub(1.0, low_hz, self.real(2.0, 3.5) * low_hz, level)


def _fan(d: _Draw) -> Build:
    low_hz = d.log(60, 250)
    flow = Flow(
        ratio=1.0,
        blades=d.whole(5, 11),
        low_hz=low_hz,
        high_hz=d.log(900, 3000),
        level=d.log(0.7, 1.3),
        depth=d.real(0.1, 0.35),
        tones=d.falling(4, d.log(0.15, 0.6), 0.5),
    )
    shaft = Shaft(1.0, d.falling(6, d.log(0.1, 0.3), 0.4))
    structure = (shaft, d.bearing(1.0), d.motor(), d.rattle(1.0))
    return Build(d.real(18, 48), structure, (flow, d.rub(1.5)))


def _pump(d: _Draw) -> Build:
    flow = Flow(
        ratio=1.0,
        blades=d.whole(4, 8),
        low_hz=d.log(150, 500),
        high_hz=d.log(1500, 4500),
        level=d.log(0.5, 1.0),
        depth=d.real(0.15, 0.45),
        tones=d.falling(5, d.log(0.2, 0.7), 0.5),
    )
    shaft = Shaft(1.0, d.falling(8, d.log(0.1, 0.35), 0.4))
    bubbles = Cavitation(d.rings(3, 900, 6000), d.decays(3, 0.0008, 0.003), 1.2)
    leak = Leak(d.log(1500, 3000), d.log(5000, 7500), level=0.5)
    structure = (shaft, flow, d.bearing(1.0), d.motor(), bubbles, d.rattle(1.0))
    return Build(d.real(24, 49), structure, (leak, d.rub(0.6)))


def _gearbox(d: _Draw) -> Build:
    teeth, driven = d.whole(15, 31), d.whole(32, 79)
    gear = Gear(
        ratio=1.0,
        teeth=teeth,
        driven_teeth=driven,
        amplitudes=d.falling(6, d.log(0.5, 1.0), 0.5),
        wear=(d.real(0.03, 0.12), d.real(0.03, 0.1)),
    )
    second = Gear(
        ratio=teeth / driven,
        teeth=d.whole(15, 27),
        driven_teeth=d.whole(30, 70),
        amplitudes=d.falling(5, d.log(0.2, 0.6), 0.5),
        wear=(d.real(0.03, 0.12), d.real(0.03, 0.1)),
    )
    shaft = Shaft(1.0, d.falling(5, d.log(0.08, 0.25), 0.4))
    oil = Flow(1.0, teeth, 200, d.log(1500, 4000), d.log(0.1, 0.3), 0.1, (0.0,))
    structure = (gear, second, shaft, oil, d.bearing(1.0), d.motor(), d.rattle(1.0))
    return Build(d.real(16, 32), structure, (d.rub(0.4),))


def _valve(d: _Draw) -> Build:
    strokes = Strokes(
        open_part=d.real(0.3, 0.6),
        ring_hz=d.rings(4, 700, 6000),
        ring_s=d.decays(4, 0.002, 0.015),
        close_level=d.real(0.4, 1.1),
        burst_s=d.log(0.03, 0.15),
        burst_level=d.log(0.4, 1.6),
        low_hz=d.log(600, 2000),
        high_hz=d.log(3500, 7000),
    )
    supply = Flow(20.0, 1, 100, d.log(400, 1500), d.log(0.05, 0.15), 0.05, (0.05,))
    leak = Leak(d.log(1800, 3500), d.log(5000, 7500), level=0.3)
    return Build(d.real(0.8, 2.5), (strokes, d.rattle(12.0, level=0.1)), (supply, leak))


def _slider(d: _Draw) -> Build:
    carriage = Carriage(
        dwell=d.real(0.05, 0.3),
        drive_hz=d.log(120, 700),
        drive=d.falling(8, d.log(0.2, 0.6), 0.5),
        low_hz=d.log(300, 900),
        high_hz=d.log(2000, 6000),
        friction=d.log(0.3, 0.8),
        ring_hz=d.rings(4, 150, 3000),
        ring_s=d.decays(4, 0.004, 0.02),
        end_level=d.log(1.0, 4.0),
        rollers_hz=d.real(25, 80),
    )
    return Build(d.real(0.25, 0.8), (carriage, d.motor()), ())


@dataclass(frozen=True, slots=True)
class Kind:
    """A machine type."""

    build: Callable[[_Draw], Build]
    faults: tuple[str, ...]
    """Faults that it can have"""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "fan": Kind(_fan, ("imbalance", "bearing", "rubbing", "looseness", "clogging")),
        "pump": Kind(
            _pump,
            ("imbalance", "bearing", "leak", "rubbing", "looseness", "clogging"),
        ),
        "gearbox": Kind(_gearbox, ("imbalance", "bearing", "rubbing", "looseness")),
        "valve": Kind(_valve, ("leak", "rubbing", "looseness", "clogging")),
        "slider": Kind(_slider, ("bearing", "rubbing", "looseness")),
    }
)
"""Every machine type by name"""


def build(kind: str, rng: np.random.Generator) -> Build:
    """Draw the parts of one individual of a type."""
    return KINDS[kind].build(_Draw(rng))
