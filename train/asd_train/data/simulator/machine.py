"""One simulated machine: its parts, its place, and the sound at its microphone."""

from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from asd_agent.errors import ConfigError
from asd_train.data.simulator.draw import Build
from asd_train.data.simulator.kinds import KINDS, build
from asd_train.data.simulator.motion import (
    Motion,
    OperatingPoint,
    Severity,
    run,
)
from asd_train.data.simulator.place import Casing, Microphone, Room, Surroundings
from asd_train.data.simulator.signal import Signal, fast_length, rms

LEAD_S = 1.0
"""Seconds rendered before the start and dropped: filters settle within them"""
NOMINAL = OperatingPoint()


@dataclass(frozen=True, slots=True)
class Machine:
    """One individual. Equal seeds give equal machines and equal sound."""

    kind: str
    build: Build
    casing: Casing
    room: Room
    microphone: Microphone
    surroundings: Surroundings
    gain: float
    """Full scale for one unit of the parts' sound at the microphone"""
    noise: float
    """Full scale for one unit of the surroundings' noise"""

    @classmethod
    def draw(cls, kind: str, seed: int) -> "Machine":
        """Draw an individual of a type.

        Parameters
        ----------
        kind : str
            One of `KINDS`, such as fan or ToyCar.
        seed : int
            Geometry, resonances, room and microphone follow from it.

        Raises
        ------
        ConfigError
            There is no such type.
        """
        if kind not in KINDS:
            raise ConfigError(
                f"no machine type {kind!r}; the simulator has {', '.join(KINDS)}"
            )
        rng = np.random.default_rng([seed, crc32(kind.encode())])
        machine = cls(
            kind,
            build(kind, rng),
            *_draw_place(rng),
            gain=1.0,
            noise=0.0,
        )
        return machine._levelled(rng)

    def _levelled(self, rng: np.random.Generator) -> "Machine":
        """Set the level at nominal speed, and the noise that much lower."""
        level = 10 ** (rng.uniform(-32, -20) / 20)
        below = 10 ** (-rng.uniform(3, 18) / 20)
        bare = replace(self.microphone, hiss_dbfs=-200.0)
        quiet = 1e-4
        trial = replace(self, microphone=bare, gain=quiet).render(3.0, seed=0)
        # Strokes peak far above their level: leave them 12 dB for faults and load.
        level = min(level, 0.25 * rms(trial) / float(np.max(np.abs(trial))))
        return replace(self, gain=quiet * level / rms(trial), noise=level * below)

    @property
    def faults(self) -> tuple[str, ...]:
        """Faults that this type can have."""
        return KINDS[self.kind].faults

    def render(
        self,
        seconds: float,
        rate_hz: int = 16_000,
        point: OperatingPoint = NOMINAL,
        *,
        fault: str | None = None,
        severity: Severity = 0.0,
        seed: int = 0,
    ) -> Signal:
        """Render what the microphone hears.

        Parameters
        ----------
        seconds : float
        rate_hz : int
            Samples a second.
        point : OperatingPoint
        fault : str, optional
            One of `faults`.
        severity : float or function
            0 (healthy) to 1 (about to break); a function of the seconds since
            the start renders a fault that comes and grows.
        seed : int
            Everything random within this recording.

        Returns
        -------
        array, shape ``(round(seconds * rate_hz),)``, float32
            Full scale is 1; clipped there.

        Raises
        ------
        ConfigError
            This type cannot have such a fault.
        """
        if fault is not None and fault not in self.faults:
            raise ConfigError(
                f"a {self.kind} has no fault {fault!r}; it can have "
                f"{', '.join(self.faults)}"
            )
        samples, lead = round(seconds * rate_hz), round(LEAD_S * rate_hz)
        length = fast_length(samples + lead)
        time_s = (np.arange(length) - lead) / rate_hz
        grade = severity(time_s) if callable(severity) else np.full(length, severity)
        grade = np.clip(grade, 0, 1).astype(np.float32)
        rng = np.random.default_rng([seed, crc32(b"recording")])
        motion = run(
            self.build.turns_hz,
            length,
            rate_hz,
            point,
            fault=fault,
            grade=grade,
            rng=rng,
            unsteady=self.build.unsteady,
        )
        return np.clip(self._heard(motion)[lead : lead + samples], -1, 1)

    def _heard(self, motion: Motion) -> Signal:
        """Sum the parts and send them through casing, room and microphone."""
        zero = np.zeros(motion.samples, np.float32)
        hz = motion.frequencies_hz
        # Each part has its own chance: a fault of one leaves the others as they were.
        parts = 1 + len(self.build.structure) + len(self.build.air)
        alone = (replace(motion, rng=rng) for rng in motion.rng.spawn(parts))
        noise = self.surroundings.sound(next(alone))
        inner = sum((part.sound(next(alone)) for part in self.build.structure), zero)
        outer = sum((part.sound(next(alone)) for part in self.build.air), zero)
        spectrum = np.fft.rfft(inner) * self.casing.response(hz) + np.fft.rfft(outer)
        spectrum *= np.fft.rfft(self.room.response(motion.rate_hz), motion.samples)
        spectrum = self.gain * spectrum
        spectrum += self.noise * motion.point.noise * np.fft.rfft(noise)
        spectrum *= self.microphone.response(hz)
        hiss = motion.rng.standard_normal(motion.samples, dtype=np.float32)
        heard = np.fft.irfft(spectrum, motion.samples)
        heard += 10 ** (self.microphone.hiss_dbfs / 20) * hiss
        return heard.astype(np.float32)


def _draw_place(
    rng: np.random.Generator,
) -> tuple[Casing, Room, Microphone, Surroundings]:
    modes, reflections = 10, 8
    casing = Casing(
        modes_hz=tuple(np.sort(np.exp(rng.uniform(np.log(90), np.log(6500), modes)))),
        damping=tuple(rng.uniform(0.01, 0.06, modes)),
        gains=tuple(rng.lognormal(0.7, 0.5, modes) * rng.choice((-1.0, 1.0), modes)),
    )
    delays_s = np.sort(rng.uniform(0.003, 0.05, reflections))
    room = Room(
        delays_s=tuple(delays_s),
        gains=tuple(0.003 / delays_s * rng.choice((-1.0, 1.0), reflections)),
        reverb_s=float(rng.uniform(0.2, 0.9)),
        tail=float(rng.uniform(0.05, 0.6)),
        seed=int(rng.integers(2**31)),
    )
    microphone = Microphone(
        low_cut_hz=float(rng.uniform(30, 120)),
        tilt_db=float(rng.uniform(-2.0, 1.0)),
        peak_hz=float(rng.uniform(2500, 7000)),
        peak_db=float(rng.uniform(0, 6)),
        hiss_dbfs=float(rng.uniform(-78, -66)),
    )
    surroundings = Surroundings(
        slope=float(rng.uniform(0.6, 1.8)),
        hum_hz=float(rng.uniform(40, 400)),
        hum_level=float(rng.uniform(0, 0.5)),
        clatter_hz=float(rng.uniform(0.05, 0.8)),
        ring_hz=tuple(rng.uniform(400, 4000, 3)),
    )
    return casing, room, microphone, surroundings
