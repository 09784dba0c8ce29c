"""A carriage that goes to and fro: drive, friction, ends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asd_train.data.simulator.motion import Motion
from asd_train.data.simulator.signal import (
    Signal,
    band,
    crossings,
    filtered,
    harmonics,
    place,
    ring,
)


@dataclass(frozen=True, slots=True)
class Carriage:
    """Two strokes in each turn of the drive, with a pause at both ends."""

    dwell: float
    """Part of the stroke's speed that the pause cuts off, 0 to 1"""
    drive_hz: float
    """Frequency of the drive at full speed"""
    drive: tuple[float, ...]
    """Amplitudes of its harmonics"""
    low_hz: float
    high_hz: float
    """Band of the friction"""
    friction: float
    """Level of the friction"""
    ring_hz: tuple[float, ...]
    ring_s: tuple[float, ...]
    """Resonances struck at the ends"""
    end_level: float
    rollers_hz: float
    """Rollers that pass a damaged spot in a second at full speed"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        swing = np.abs(np.sin(2 * np.pi * np.mod(motion.turns, 1.0)))
        speed = np.clip((swing - self.dwell) / (1 - self.dwell), 0, 1)
        travelled = np.cumsum(speed) * (motion.point.speed / motion.rate_hz)
        quiet = np.sqrt(speed).astype(np.float32)
        total = quiet * harmonics(travelled * self.drive_hz, self.drive)
        total += self._friction(motion, speed.astype(np.float32), travelled)
        total += self._impacts(motion, quiet, travelled)
        return np.asarray(total, np.float32)

    def _friction(
        self, motion: Motion, speed: Signal, travelled: NDArray[np.float64]
    ) -> Signal:
        noise = motion.noise(band(motion.frequencies_hz, self.low_hz, self.high_hz))
        level = self.friction * (0.5 + motion.point.load) * speed
        rubbed = motion.severity("rubbing")
        if rubbed is None:
            return np.asarray(level * noise, np.float32)
        # Dry guides stick and slip: the noise comes in pulses along the way.
        pulses = np.maximum(0, harmonics(travelled * 45, (1.0, 0.5)))
        rough = 1 + 3 * rubbed * (0.4 + pulses)
        return np.asarray(level * noise * rough, np.float32)

    def _impacts(
        self, motion: Motion, quiet: Signal, travelled: NDArray[np.float64]
    ) -> Signal:
        rng, samples, rate_hz = motion.rng, motion.samples, motion.rate_hz
        ends = crossings(2 * motion.turns, rng, jitter=0.003)
        height = 12 * self.end_level * (1 + 0.1 * rng.standard_normal(len(ends)))
        train = place(ends, height, samples)
        loose = motion.severity("looseness")
        if loose is not None:
            here = np.clip(ends.astype(np.int64), 0, samples - 1)
            for number in (1, 2, 3):
                late = ends + number * rate_hz * rng.uniform(0.015, 0.03, len(ends))
                train += place(late, height * 1.6 * loose[here] / number, samples)
            # Play in the guides: the carriage knocks all along its way.
            at = crossings(travelled * 90 + np.arange(samples) * 1e-9, rng, jitter=0.2)
            here = np.clip(at.astype(np.int64), 0, samples - 1)
            knocks = 3 * (loose * quiet)[here] * rng.rayleigh(size=len(at))
            train += place(at, knocks, samples)
        damage = motion.severity("bearing")
        if damage is not None:
            steps = travelled * self.rollers_hz + np.arange(samples) * 1e-9
            at = crossings(steps, rng, jitter=0.01)
            here = np.clip(at.astype(np.int64), 0, samples - 1)
            gap = np.sqrt(rate_hz / self.rollers_hz)
            train += place(at, 0.8 * gap * (damage * quiet)[here], samples)
        return filtered(train, ring(rate_hz, self.ring_hz, self.ring_s))
