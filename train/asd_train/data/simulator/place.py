"""Where a machine stands and what listens: casing, room, microphone, noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asd_train.data.simulator.motion import Motion
from asd_train.data.simulator.signal import Signal, crossings, filtered, place, ring


@dataclass(frozen=True, slots=True)
class Casing:
    """Modes of the housing, which structure-borne sound goes through."""

    modes_hz: tuple[float, ...]
    damping: tuple[float, ...]
    """Ratio to critical damping"""
    gains: tuple[float, ...]

    def response(self, hz: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Complex gain at the frequencies `hz`."""
        total = np.full(len(hz), 0.25, np.complex128)
        for mode_hz, damping, gain in zip(
            self.modes_hz, self.damping, self.gains, strict=True
        ):
            ratio = hz / mode_hz
            total += 2 * damping * gain / (1 - ratio**2 + 2j * damping * ratio)
        return total


@dataclass(frozen=True, slots=True)
class Room:
    """Early reflections and an exponential tail."""

    delays_s: tuple[float, ...]
    gains: tuple[float, ...]
    """Of the early reflections, to the direct sound's 1"""
    reverb_s: float
    """Time to fall by 60 dB"""
    tail: float
    """Energy of the tail to the direct sound's"""
    seed: int

    def response(self, rate_hz: int) -> Signal:
        """Impulse response."""
        length = int(self.reverb_s * rate_hz)
        time_s = np.arange(length) / rate_hz
        noise = np.random.default_rng(self.seed).standard_normal(length)
        impulse = noise * np.exp(-6.91 * time_s / self.reverb_s)
        impulse *= np.sqrt(self.tail / np.sum(impulse**2))
        impulse[0] += 1.0
        for delay_s, gain in zip(self.delays_s, self.gains, strict=True):
            impulse[min(int(delay_s * rate_hz), length - 1)] += gain
        return impulse.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Microphone:
    """Colour of a cheap microphone, and its own noise."""

    low_cut_hz: float
    tilt_db: float
    """Decibel an octave above 1 kHz"""
    peak_hz: float
    peak_db: float
    hiss_dbfs: float
    """Level of its own white noise, decibel to full scale"""

    def response(self, hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gain at the frequencies `hz`."""
        safe = np.maximum(hz, 1.0)
        octaves = np.log2(safe / 1000)
        bump = self.peak_db * np.exp(-(np.log2(safe / self.peak_hz) ** 2) / 0.1)
        gain = 10 ** ((self.tilt_db * np.maximum(octaves, 0) + bump) / 20)
        return np.asarray(gain / np.sqrt(1 + (self.low_cut_hz / safe) ** 4))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Noise of the hall: a coloured floor that comes and goes, and clatter."""

    slope: float
    """Exponent of the power spectrum: 0 white, 1 pink, 2 brown"""
    hum_hz: float
    """A steady machine far away"""
    hum_level: float
    clatter_hz: float
    """Distant knocks a second"""
    ring_hz: tuple[float, ...]

    def sound(self, motion: Motion) -> Signal:
        """Noise of root mean square about 1."""
        hz = np.maximum(motion.frequencies_hz, 20.0)
        noise = motion.noise(hz ** (-self.slope / 2))
        level = 10 ** (0.1 * motion.drift(2.0))
        time_s = np.arange(motion.samples) / motion.rate_hz
        hum = np.sin(2 * np.pi * self.hum_hz * time_s).astype(np.float32)
        knocks = crossings(time_s * self.clatter_hz, motion.rng, jitter=0.7)
        height = 0.3 * motion.rng.exponential(size=len(knocks)) * motion.rate_hz**0.5
        clatter = filtered(
            place(knocks, height, motion.samples),
            ring(motion.rate_hz, self.ring_hz, (0.03,) * len(self.ring_hz)),
        )
        total = level * noise + self.hum_level * hum + 0.15 * clatter
        return np.asarray(total, np.float32)
