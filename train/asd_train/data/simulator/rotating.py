"""Parts that turn: shaft, gear, bearing, motor, rubbing and loose fits."""

from dataclasses import dataclass

import numpy as np

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
class Shaft:
    """Harmonics of the turning speed; grow with imbalance, looseness, a bend."""

    ratio: float
    """Turns of this shaft for one of the drive"""
    amplitudes: tuple[float, ...]
    """Of the harmonics 1, 2, 3..."""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        turns = motion.turns * self.ratio
        levels: list[float | Signal] = list(self.amplitudes)
        heavy = motion.severity("imbalance")
        if heavy is not None:
            for index, growth in enumerate(
                (20.0, 14.0, 9.0, 6.0, 3.0, 2.0)[: len(levels)]
            ):
                levels[index] = levels[index] * (1 + growth * heavy)
        bent = motion.severity("bent")
        if bent is not None:
            # Twice a turn: a bent shaft is stiff in one direction.
            for index, growth in enumerate((4.0, 8.0, 3.0, 2.0)[: len(levels)]):
                levels[index] = levels[index] * (1 + growth * bent)
        total = harmonics(turns, levels)
        loose = motion.severity("looseness")
        if loose is not None:
            # A loose foot lifts every second turn: half orders, unsteady in level.
            uneven = loose * (1 + 0.4 * motion.drift(0.2)) * max(self.amplitudes)
            orders = [np.asarray(uneven * 2 / n, np.float32) for n in range(1, 10)]
            total += harmonics(turns / 2, orders)
        return total


@dataclass(frozen=True, slots=True)
class Gear:
    """Tooth mesh with sidebands of both shafts."""

    ratio: float
    """Turns of the driving wheel for one of the drive"""
    teeth: int
    """Of the driving wheel"""
    driven_teeth: int
    amplitudes: tuple[float, ...]
    """Of the mesh harmonics"""
    wear: tuple[float, float]
    """Modulation by either wheel in a healthy gear"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        turns = motion.turns * self.ratio
        driven = turns * (self.teeth / self.driven_teeth)
        load = 0.4 + motion.point.load
        uneven = 1 + self.wear[0] * harmonics(turns, (1.0, 0.6, 0.3))
        uneven += self.wear[1] * harmonics(driven, (1.0, 0.5))
        for fault, growth in (("imbalance", 0.8), ("looseness", 0.5), ("bent", 0.8)):
            grade = motion.severity(fault)
            if grade is not None:
                uneven += growth * grade * harmonics(turns, (1.0,))
        scuffed, worn = motion.severity("rubbing"), motion.severity("worn")
        if worn is not None:
            # Teeth that melted or wore unevenly: each tooth has a level of its own.
            uneven += 2.5 * worn * harmonics(driven, (0.3, 0.8, 1.0, 0.6, 0.4))
            scuffed = worn
        levels: list[float | Signal] = list(self.amplitudes)
        if scuffed is not None:
            for number in range(1, len(levels)):
                levels[number] = levels[number] * (1 + 0.4 * number * scuffed)
        # The teeth slip a little in phase as they wear: sidebands on both sides.
        phase = turns * self.teeth + 0.03 * (uneven - 1)
        return load * uneven * harmonics(phase, levels)


@dataclass(frozen=True, slots=True)
class Bearing:
    """Rolling elements passing the outer ring; damage makes each pass an impact."""

    ratio: float
    """Turns of its shaft for one of the drive"""
    balls: int
    diameter_ratio: float
    """Ball diameter to pitch diameter"""
    contact_rad: float
    """Contact angle"""
    ring_hz: tuple[float, ...]
    """Resonances of the housing"""
    ring_s: tuple[float, ...]
    """Their decay times"""
    roughness: float
    """Level of a healthy bearing"""

    @property
    def passes(self) -> float:
        """Ball passes over the outer ring a turn (BPFO): n/2 (1 - d/D cos a)."""
        slow = self.diameter_ratio * np.cos(self.contact_rad)
        return float(self.balls / 2 * (1 - slow))

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        turns = motion.turns * self.ratio
        # 1 % slip: real balls never repeat exactly, so high orders smear.
        at = crossings(turns * self.passes, motion.rng, jitter=0.01)
        height = self.roughness * motion.rng.rayleigh(size=len(at))
        damage = motion.severity("bearing")
        if damage is not None:
            here = np.minimum(at.astype(np.int64), motion.samples - 1)
            loaded = 1 + 0.5 * np.cos(2 * np.pi * turns[here])
            spread = 1 + 0.2 * motion.rng.standard_normal(len(at))
            height = height + damage[here] * loaded * spread
        response = ring(motion.rate_hz, self.ring_hz, self.ring_s)
        # An impact of energy 1 every pass: bring it to power 1 a second.
        gap = np.sqrt(motion.rate_hz / max(self.passes * self.ratio * 25, 1.0))
        return filtered(place(at, height * gap, motion.samples), response)


@dataclass(frozen=True, slots=True)
class Motor:
    """Electrical hum at twice the mains, slot tones, and an inverter's whistle."""

    mains_hz: float
    hum: tuple[float, ...]
    """Amplitudes of the harmonics of twice the mains"""
    slots: int
    """Rotor bars: a tone at so many times the turning speed"""
    slot_level: float
    whistle_hz: float
    """Switching frequency of the inverter"""
    whistle_level: float

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        time_s = np.arange(motion.samples) / motion.rate_hz
        load = 0.5 + motion.point.load
        total = load * harmonics(2 * self.mains_hz * time_s, self.hum)
        slot = self.slot_level * load
        total += harmonics(motion.turns * self.slots, (slot, 0.5 * slot))
        if self.whistle_level:
            # Side tones of the switching frequency lie at twice the fed frequency.
            fed = np.exp(4j * np.pi * self.mains_hz * motion.point.speed * time_s)
            tone = np.exp(2j * np.pi * self.whistle_hz * time_s)
            total += self.whistle_level * (tone * (0.6 + fed.real)).real
        return total.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Rub:
    """A rotor that touches its housing over part of each turn. Silent if healthy."""

    ratio: float
    """Turns of its shaft for one of the drive"""
    low_hz: float
    high_hz: float
    level: float
    """Root mean square of full contact at severity 1"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        grade = motion.severity("rubbing")
        if grade is None:
            return np.zeros(motion.samples, np.float32)
        turning = np.cos(2 * np.pi * np.mod(motion.turns * self.ratio, 1.0))
        # A harder rub touches longer: from a tenth of the turn to most of it.
        contact = np.clip((turning - 0.95 + 1.5 * grade) / 0.4, 0, 1)
        noise = motion.noise(band(motion.frequencies_hz, self.low_hz, self.high_hz))
        rough = 1 + 0.3 * motion.drift(0.15)
        return (self.level * np.sqrt(grade) * contact * rough * noise).astype(
            np.float32
        )


@dataclass(frozen=True, slots=True)
class Rattle:
    """A loose part that hits its neighbour now and then. Silent if healthy."""

    ratio: float
    """Chances to hit for one turn of the drive"""
    ring_hz: tuple[float, ...]
    ring_s: tuple[float, ...]
    level: float
    """Level at severity 1"""

    def sound(self, motion: Motion) -> Signal:
        """Sound of this part alone."""
        grade = motion.severity("looseness")
        if grade is None:
            return np.zeros(motion.samples, np.float32)
        at = crossings(motion.turns * self.ratio, motion.rng, jitter=0.06)
        here = np.clip(at.astype(np.int64), 0, motion.samples - 1)
        hits = motion.rng.uniform(size=len(at)) < 0.2 + 0.6 * grade[here]
        height = grade[here] * hits * motion.rng.rayleigh(size=len(at))
        response = ring(motion.rate_hz, self.ring_hz, self.ring_s)
        gap = np.sqrt(motion.rate_hz / 20)
        return filtered(place(at, self.level * gap * height, motion.samples), response)
