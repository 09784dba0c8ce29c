"""Parts of toys: brushes of a small motor, rolling wheels, rail joints, knocks."""

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
class Brushes:
    """Brushes of a direct-current motor: a tick and a spark at each segment."""

    segments: int
    """Commutations for one turn of the motor"""
    tones: tuple[float, ...]
    """Amplitudes of the harmonics of the commutation"""
    level: float
    """Root mean square of the ticks at nominal voltage and load 0.5"""
    ring_hz: tuple[float, ...]
    """Resonances of the brush springs"""
    ring_s: tuple[float, ...]
    """Their decay times"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        turns = motion.turns * self.segments
        at = crossings(turns, motion.rng, jitter=0.03)
        here = _inside(at, motion.samples)
        # Sparks grow with the current: with the load, and with the voltage.
        power = motion.voltage**2 * np.ones(motion.samples, np.float32)
        height = (0.5 + motion.point.load) * power[here]
        height = height * motion.rng.rayleigh(size=len(at))
        gap = np.sqrt(motion.samples / max(len(at), 1) / 2)
        response = ring(motion.rate_hz, self.ring_hz, self.ring_s)
        ticks = filtered(place(at, self.level * gap * height, motion.samples), response)
        total = ticks + power * harmonics(turns, self.tones)
        return np.asarray(total, np.float32)


@dataclass(frozen=True, slots=True)
class Rolling:
    """Wheels that roll on a belt or a rail: noise that comes and goes as they turn."""

    ratio: float
    """Turns of the wheel for one of the motor"""
    low_hz: float
    high_hz: float
    """Band of the noise"""
    level: float
    """Root mean square at nominal speed and load 0.5"""
    depth: float
    """Modulation by a wheel that is not quite round, 0 to 1"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        noise = motion.noise(band(motion.frequencies_hz, self.low_hz, self.high_hz))
        wheel = motion.turns * self.ratio
        depth: float | Signal = self.depth
        bent = motion.severity("bent")
        if bent is not None:
            depth = depth + 0.6 * bent
        pace = motion.point.speed * motion.voltage
        gain = self.level * (0.5 + motion.point.load) * pace**1.5
        return np.asarray(
            gain * (1 + depth * harmonics(wheel, (1.0, 0.5))) * noise, np.float32
        )


@dataclass(frozen=True, slots=True)
class Knock:
    """One blow a turn where a wheel is damaged. Silent if healthy."""

    fault: str
    """The fault that makes it: `chipped` of a gear, `flat` of a rolling wheel"""
    ratio: float
    """Blows for one turn of the motor"""
    ring_hz: tuple[float, ...]
    ring_s: tuple[float, ...]
    level: float
    """Root mean square at severity 1"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        grade = motion.severity(self.fault)
        if grade is None:
            return np.zeros(motion.samples, np.float32)
        at = crossings(motion.turns * self.ratio, motion.rng, jitter=0.01)
        spread = 1 + 0.15 * motion.rng.standard_normal(len(at))
        gap = np.sqrt(motion.samples / max(len(at), 1))
        height = self.level * gap * grade[_inside(at, motion.samples)] * spread
        response = ring(motion.rate_hz, self.ring_hz, self.ring_s)
        return filtered(place(at, height, motion.samples), response)


@dataclass(frozen=True, slots=True)
class Track:
    """A closed loop of rails: every axle knocks at every joint, in its own way."""

    ratio: float
    """Joints passed for one turn of the motor"""
    axles: tuple[float, ...]
    """Distance of each axle behind the first, in lengths of a rail"""
    joints: tuple[float, ...]
    """Height of the step at each joint of the loop"""
    level: float
    """Level of a joint of height 1"""
    ring_hz: tuple[float, ...]
    ring_s: tuple[float, ...]
    """Resonances of a struck rail"""
    scrape_hz: tuple[float, float]
    """Band of what an axle scrapes off a foreign object"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        train = np.zeros(motion.samples, np.float32)
        for number, behind in enumerate(self.axles):
            passed = motion.turns * self.ratio - behind
            at, which = self._passes(motion, passed)
            height = np.asarray(self.joints)[which] * (1.0, 0.8, 0.6)[number % 3]
            shaken = 1 + 0.15 * motion.rng.standard_normal(len(at))
            # A blow grows with the speed of the wheel.
            height = 6 * self.level * motion.point.speed * height * shaken
            train += place(at, height * self._worse(motion, at, which), motion.samples)
        total = filtered(train, ring(motion.rate_hz, self.ring_hz, self.ring_s))
        return np.asarray(total + self._obstacle(motion), np.float32)

    def _passes(
        self, motion: Motion, passed: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Sample positions of an axle's joints, and the number of each in the loop."""
        at = crossings(passed, motion.rng, jitter=0.002)
        first = int(np.ceil(passed[0]))
        return at, np.arange(first, first + len(at)) % len(self.joints)

    def _worse(
        self, motion: Motion, at: NDArray[np.float64], which: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Growth of the blows where two rails have come apart: every third joint."""
        apart = motion.severity("looseness")
        if apart is None:
            return np.ones(len(at))
        grown = 12 * apart[_inside(at, motion.samples)] * (which % 3 == 0)
        return np.asarray(1 + grown, np.float64)

    def _obstacle(self, motion: Motion) -> Signal:
        """Two foreign objects on the loop, that every axle scrapes along."""
        grade = motion.severity("obstacle")
        if grade is None:
            return np.zeros(motion.samples, np.float32)
        lap = motion.turns * self.ratio / len(self.joints) * 2
        near = np.zeros(motion.samples)
        for behind in self.axles:
            away = np.mod(lap - 2 * behind / len(self.joints), 1.0)
            near += np.exp(-away * len(self.joints) / 2 / 0.12)
        noise = motion.noise(band(motion.frequencies_hz, *self.scrape_hz))
        return np.asarray(5 * self.level * grade * near * noise, np.float32)


def _inside(at: NDArray[np.float64], samples: int) -> NDArray[np.int64]:
    return np.clip(at.astype(np.int64), 0, samples - 1)
