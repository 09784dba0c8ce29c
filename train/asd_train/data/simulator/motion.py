"""How a machine runs during one rendering: what all its parts share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from asd_train.data.simulator.signal import Signal, shaped_noise, wander

FAULTS = (
    "imbalance",
    "bearing",
    "leak",
    "rubbing",
    "looseness",
    "clogging",
    "bent",
    "worn",
    "chipped",
    "flat",
    "obstacle",
    "overvoltage",
    "undervoltage",
)
"""Every fault that some machine can have"""
VOLTAGE_GROWTH = {"overvoltage": 0.3, "undervoltage": -0.25}
"""Change of a toy's voltage at severity 1, in parts of what it should have"""

Severity = float | Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""0 to 1; or a function from seconds since the start to it, for a fault that grows"""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What the operator sets."""

    speed: float = 1.0
    """Part of the nominal speed"""
    load: float = 0.6
    """Part of the full load, 0 to 1"""
    noise: float = 1.0
    """Amplitude of the surroundings' noise, 1: as usual"""

    @property
    def attributes(self) -> str:
        """Its name in a file name: ``spd_100_load_60``, in percent.

        ``_noise_200`` follows where the noise is not as usual.
        """
        name = f"spd_{round(100 * self.speed)}_load_{round(100 * self.load)}"
        return name if self.noise == 1 else f"{name}_noise_{round(100 * self.noise)}"


SOURCE_POINTS = (
    OperatingPoint(0.90, 0.5),
    OperatingPoint(1.00, 0.6),
    OperatingPoint(1.00, 0.8),
)
"""Operating points of the source domain"""
TARGET_POINTS = (OperatingPoint(1.12, 0.7), OperatingPoint(0.80, 0.4))
"""Operating points of the target domain: none of the source domain's"""
NOISY_POINTS = (
    OperatingPoint(1.0, 0.6, noise=2.0),
    OperatingPoint(1.0, 0.8, noise=3.0),
)
"""A target domain that differs from the source's in the noise of the hall alone"""


@dataclass(frozen=True, slots=True)
class Motion:
    """One stretch of time in a machine's life."""

    rate_hz: int
    """Samples a second"""
    point: OperatingPoint
    fault: str | None
    """The fault that it has; None: it is healthy"""
    grade: Signal
    """Severity of the fault, 0 to 1, one value a sample"""
    turns: NDArray[np.float64]
    """Turns of the drive shaft since the start, one value a sample"""
    rng: np.random.Generator
    """Everything random within this rendering"""
    frequencies_hz: NDArray[np.float64] = field(repr=False)
    """Hertz of each bin of a transform over the whole"""

    @property
    def samples(self) -> int:
        """Length of every signal."""
        return len(self.turns)

    def severity(self, fault: str) -> Signal | None:
        """Severity of `fault`; None: the machine does not have it."""
        return self.grade if self.fault == fault else None

    @property
    def voltage(self) -> float | Signal:
        """Voltage of a toy's motor, in parts of what it should have."""
        growth = VOLTAGE_GROWTH.get(self.fault or "")
        return 1.0 if growth is None else 1 + growth * self.grade

    def noise(self, magnitude: NDArray[np.float64]) -> Signal:
        """Noise of root mean square 1, as `shaped_noise`."""
        return shaped_noise(self.rng, self.samples, magnitude)

    def drift(self, period_s: float) -> Signal:
        """Slow random drift, as `wander`."""
        return wander(self.rng, self.samples, self.rate_hz, period_s)


def run(
    turns_hz: float,
    samples: int,
    rate_hz: int,
    point: OperatingPoint,
    *,
    fault: str | None,
    grade: Signal,
    rng: np.random.Generator,
    unsteady: float = 0.003,
) -> Motion:
    """Let a shaft of nominal `turns_hz` turn for so many samples.

    The speed wanders by `unsteady` of its value within seconds; 0.3 % is that of
    an induction motor under a load that is never quite even.
    """
    hz = np.fft.rfftfreq(samples, 1 / rate_hz).astype(np.float64)
    still = np.zeros(samples)
    motion = Motion(rate_hz, point, fault, grade, still, rng, hz)
    speed = 1 + unsteady * wander(rng, samples, rate_hz, 1.5)
    # A motor without a controller turns as fast as its voltage lets it.
    speed = speed * motion.voltage
    steps = speed.astype(np.float64) * (turns_hz * point.speed / rate_hz)
    turns = np.cumsum(steps) + rng.uniform()
    return replace(motion, turns=turns)
