"""Draws the parts of one individual at random."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asd_train.data.simulator.motion import Motion
from asd_train.data.simulator.rotating import Bearing, Motor, Rattle, Rub
from asd_train.data.simulator.signal import Signal
from asd_train.data.simulator.toy import Brushes


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
    unsteady: float = 0.003
    """Standard deviation of the speed, in parts of it"""


class Draw:
    """Draws the numbers of one individual."""

    def __init__(self, rng: np.random.Generator):
        self.rng = rng

    def real(self, low: float, high: float) -> float:
        """A number, evenly."""
        return float(self.rng.uniform(low, high))

    def log(self, low: float, high: float) -> float:
        """A number above 0, evenly in its logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def one(self, values: Sequence[float]) -> float:
        """One of the values."""
        return float(values[int(self.rng.integers(len(values)))])

    def falling(self, count: int, first: float, spread: float) -> tuple[float, ...]:
        """Amplitudes of harmonics, each with its own luck."""
        luck = self.rng.lognormal(0, spread, count)
        return tuple(float(v) for v in first * luck / np.arange(1, count + 1))

    def rings(self, count: int, low_hz: float, high_hz: float) -> tuple[float, ...]:
        """Frequencies of resonances, hertz, rising."""
        return tuple(sorted(self.log(low_hz, high_hz) for _ in range(count)))

    def decays(self, count: int, low_s: float, high_s: float) -> tuple[float, ...]:
        """Decay times of resonances, seconds."""
        return tuple(self.log(low_s, high_s) for _ in range(count))

    def bearing(self, ratio: float) -> Bearing:
        """A ball bearing on a shaft that turns `ratio` times as fast as the drive."""
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
        """A motor fed by the mains, with or without an inverter."""
        inverter = self.rng.uniform() < 0.4
        return Motor(
            mains_hz=self.one((50.0, 60.0)),
            hum=self.falling(5, self.log(0.1, 0.4), 0.6),
            slots=self.whole(18, 44),
            slot_level=self.log(0.02, 0.15),
            whistle_hz=self.one((2000.0, 3000.0, 4000.0, 6000.0)),
            whistle_level=self.log(0.02, 0.1) if inverter else 0.0,
        )

    def brushes(self) -> Brushes:
        """Brushes of a small motor of three or five poles."""
        return Brushes(
            segments=2 * self.whole(1, 2) + 1,
            tones=self.falling(4, self.log(0.05, 0.25), 0.6),
            level=self.log(0.2, 0.6),
            ring_hz=self.rings(3, 1500, 7000),
            ring_s=self.decays(3, 0.0004, 0.002),
        )

    def rattle(self, ratio: float, level: float = 0.9) -> Rattle:
        """A part that can come loose."""
        return Rattle(
            ratio, self.rings(2, 700, 3500), self.decays(2, 0.004, 0.015), level
        )

    def rub(self, level: float) -> Rub:
        """A rotor that can touch its housing."""
        low_hz = self.log(800, 2000)
        return Rub(1.0, low_hz, self.real(2.0, 3.5) * low_hz, level)
