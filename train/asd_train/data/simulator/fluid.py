"""Parts that move air or liquid: blades, leaks, cavitation, valves."""

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
class Flow:
    """Turbulence chopped by the blades; changes when the way is clogged."""

    ratio: float
    """Turns of the wheel for one of the drive"""
    blades: int
    low_hz: float
    high_hz: float
    """Band of the turbulence at full speed"""
    level: float
    depth: float
    """Modulation by the passing blades, 0 to 1"""
    tones: tuple[float, ...]
    """Amplitudes of the harmonics of the blade passing, to the noise's 1"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        speed = motion.point.speed
        hz = motion.frequencies_hz
        noise = motion.noise(band(hz, self.low_hz, self.high_hz * speed, order=1))
        chop = harmonics(motion.turns * self.ratio * self.blades, (1.0, 0.4))
        depth: float | Signal = self.depth
        # Sound power of a fan rises with the fifth power of its speed.
        gain: float | Signal = self.level * speed**2.5 * (0.7 + 0.5 * motion.point.load)
        heavy, clogged = motion.severity("imbalance"), motion.severity("clogging")
        sway: float | Signal = 1 + 0.05 * motion.drift(0.8)
        if heavy is not None:
            sway = sway + 0.8 * heavy * harmonics(motion.turns * self.ratio, (1.0,))
        if clogged is not None:
            noise = noise * (1 - 0.6 * clogged) + 1.6 * clogged * self._surge(motion)
            depth = depth + 0.5 * clogged
        tones = harmonics(motion.turns * self.ratio * self.blades, self.tones)
        total = gain * sway * ((1 + depth * chop) * noise + tones)
        return np.asarray(total, np.float32)

    def _surge(self, motion: Motion) -> Signal:
        """Rumble of a flow that stalls and comes back a few times a second."""
        hz = motion.frequencies_hz
        rumble = motion.noise(band(hz, 0.4 * self.low_hz, 3 * self.low_hz))
        swell = np.maximum(0, 1 + 0.8 * motion.drift(0.25))
        return np.asarray(rumble * swell, np.float32)


@dataclass(frozen=True, slots=True)
class Leak:
    """Hiss of a gas or liquid that escapes. Silent if healthy."""

    low_hz: float
    high_hz: float
    level: float
    """Root mean square at severity 1"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        grade = motion.severity("leak")
        if grade is None:
            return np.zeros(motion.samples, np.float32)
        hiss = motion.noise(band(motion.frequencies_hz, self.low_hz, self.high_hz))
        return self.level * grade * (1 + 0.1 * motion.drift(0.3)) * hiss


@dataclass(frozen=True, slots=True)
class Cavitation:
    """Bubbles that collapse where a starved pump sucks. Silent if healthy."""

    ring_hz: tuple[float, ...]
    ring_s: tuple[float, ...]
    level: float

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        grade = motion.severity("clogging")
        if grade is None:
            return np.zeros(motion.samples, np.float32)
        count = int(400 * motion.samples / motion.rate_hz)
        at = np.sort(motion.rng.uniform(0, motion.samples - 1, count))
        height = grade[at.astype(np.int64)] * motion.rng.exponential(size=count)
        height *= np.sqrt(motion.rate_hz / 400)
        response = ring(motion.rate_hz, self.ring_hz, self.ring_s)
        return self.level * filtered(place(at, height, motion.samples), response)


@dataclass(frozen=True, slots=True)
class Strokes:
    """A valve that opens and closes: clicks, and a burst of air between them."""

    open_part: float
    """Part of a cycle for which it is open"""
    ring_hz: tuple[float, ...]
    ring_s: tuple[float, ...]
    close_level: float
    """Closing click to the opening one"""
    burst_s: float
    """Decay time of the burst"""
    burst_level: float
    low_hz: float
    high_hz: float
    """Band of the burst"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        opened = crossings(motion.turns, motion.rng, jitter=0.004)
        closed = crossings(motion.turns - self.open_part, motion.rng, jitter=0.004)
        clicks = self._clicks(motion, opened, 1.0)
        clicks += self._clicks(motion, closed, self.close_level)
        response = ring(motion.rate_hz, self.ring_hz, self.ring_s)
        return filtered(clicks, response) + self._air(motion, opened)

    def _clicks(self, motion: Motion, at: NDArray[np.float64], level: float) -> Signal:
        count = len(at)
        # A click of energy 1 is a peak of about 0.1 at 16 kHz.
        height = 12 * level * (1 + 0.08 * motion.rng.standard_normal(count))
        bounce_s = 0.012 + 0.02 * motion.rng.uniform(size=count)
        loose = motion.severity("looseness")
        if loose is None:
            return place(at, height, motion.samples)
        here = np.clip(at.astype(np.int64), 0, motion.samples - 1)
        total = place(at, height, motion.samples)
        for number in (1, 2, 3):
            late = at + number * bounce_s * motion.rate_hz
            total += place(late, height * loose[here] * 0.9**number, motion.samples)
        return total

    def _air(self, motion: Motion, opened: NDArray[np.float64]) -> Signal:
        hz, rate_hz = motion.frequencies_hz, motion.rate_hz
        longest_s = 2.5 * self.burst_s
        bursts = place(opened, np.ones(len(opened)), motion.samples)
        envelope = filtered(bursts, _decay(self.burst_s, rate_hz))
        level: float | Signal = self.burst_level * (0.6 + 0.7 * motion.point.load)
        clogged = motion.severity("clogging")
        if clogged is not None:
            # A narrow way lets the same air out later: weaker, longer, darker.
            late = filtered(bursts, _decay(longest_s, rate_hz))
            envelope = (1 - clogged) * envelope + 0.7 * clogged * late
        total = level * envelope * motion.noise(band(hz, self.low_hz, self.high_hz))
        scraped = motion.severity("rubbing")
        if scraped is not None:
            slow = filtered(bursts, _decay(0.12, rate_hz))
            chatter = 1 + np.cos(2 * np.pi * 70 * np.arange(motion.samples) / rate_hz)
            noise = motion.noise(band(hz, 900, 3500))
            total = total + 1.5 * scraped * slow * chatter * noise
        return np.asarray(total, np.float32)


def _decay(time_s: float, rate_hz: int) -> Signal:
    steps = np.arange(int(6 * time_s * rate_hz)) / (time_s * rate_hz)
    rise = 1 - np.exp(-np.arange(len(steps)) / (0.003 * rate_hz))
    return (rise * np.exp(-steps)).astype(np.float32)
