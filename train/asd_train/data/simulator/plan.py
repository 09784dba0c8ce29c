"""Which clips a simulated data set has: how many, named how, in what condition."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from asd_agent.errors import ConfigError
from asd_train.data.simulator.kinds import KINDS
from asd_train.data.simulator.motion import (
    NOISY_POINTS,
    SOURCE_POINTS,
    TARGET_POINTS,
    OperatingPoint,
)

Layout = Literal["2022", "2021"]
"""Year of the DCASE data set whose folders, names and shares are followed"""

TARGET_SHARE = 0.1
"""Part of the training clips that are of the target domain, in layout 2022"""
TARGET_CLIPS = 3
"""Training clips of the target domain of a section, in layout 2021"""
LEAST_SEVERITY = 0.2
"""Severity of the faintest fault in layout 2022; the gravest has 1"""
SEVERITIES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "ToyCar": (0.04, 0.5),
        "ToyTrain": (0.03, 0.35),
        "fan": (0.05, 0.6),
        "gearbox": (0.03, 0.4),
        "pump": (0.03, 0.4),
        "slider": (0.03, 0.4),
        "valve": (0.02, 0.25),
    }
)
"""Faintest and gravest fault of each type in layout 2021, chosen so that simple
statistics of a clip find most faults and never all"""


@dataclass(frozen=True, slots=True)
class Order:
    """What to simulate."""

    machines: tuple[str, ...]
    """Machine types"""
    sections: int = 6
    """Individuals of each type"""
    clips_train: int = 100
    """Normal clips to train on, of each individual; in layout 2021 those of the
    source domain, to which three of the target domain come"""
    clips_test: int = 50
    """Clips to test on, of each individual: half normal, half faulty"""
    seconds: float = 10.0
    """Length of a clip"""
    rate_hz: int = 16_000
    seed: int = 1
    layout: Layout = "2022"

    @property
    def clips(self) -> int:
        """Files in all."""
        per_section = self.clips_train + self.clips_test
        if self.layout == "2021":
            per_section += TARGET_CLIPS
        return len(self.machines) * self.sections * per_section

    def check(self) -> None:
        """See that every machine type is known, and that the counts can be shared.

        Raises
        ------
        ConfigError
            A type is unknown, or the test clips of layout 2021 have no four
            equal parts.
        """
        for kind in self.machines:
            if kind not in KINDS:
                raise ConfigError(
                    f"no machine type {kind!r}; the simulator has {', '.join(KINDS)}"
                )
        if self.layout == "2021" and self.clips_test % 4:
            raise ConfigError(
                f"clips_test is {self.clips_test}; layout 2021 has as many normal as "
                "faulty clips in both domains: give a multiple of 4"
            )


@dataclass(frozen=True, slots=True)
class Take:
    """One clip to be rendered."""

    split: str
    domain: str
    label: str
    number: int
    point: OperatingPoint
    fault: str | None = None
    severity: float = 0.0
    layout: Layout = "2022"

    @property
    def folder(self) -> str:
        """Folder within that of the machine type."""
        if self.layout == "2021" and self.split == "test":
            return f"{self.domain}_test"
        return self.split

    def name(self, section: int) -> str:
        """Name of its file."""
        parts = f"section_{section:02}_{self.domain}_{self.split}_{self.label}"
        name = f"{parts}_{self.number:04}"
        if self.layout == "2021" and self.split == "test":
            return name + ".wav"
        name += f"_{self.point.attributes}"
        if self.fault:
            name += f"_fault_{self.fault}_sev_{round(100 * self.severity)}"
        return name + ".wav"


def takes(order: Order, kind: str, section: int) -> tuple[Take, ...]:
    """List the clips of one individual, in the order in which they are numbered."""
    plan = _PLANS[order.layout]
    return tuple(plan(order, kind, section))


def _domains(count: int, target: int) -> Iterator[tuple[str, int, OperatingPoint]]:
    for domain, points, clips in (
        ("source", SOURCE_POINTS, count - target),
        ("target", TARGET_POINTS, target),
    ):
        for number in range(clips):
            yield domain, number, points[number % len(points)]


def _plan_2022(order: Order, kind: str, section: int) -> Iterator[Take]:
    faults = KINDS[kind].faults
    target = round(order.clips_train * TARGET_SHARE)
    for domain, number, point in _domains(order.clips_train, target):
        yield Take("train", domain, "normal", number, point)
    faulty = order.clips_test // 2
    normal = order.clips_test - faulty
    for domain, number, point in _domains(normal, normal // 2):
        yield Take("test", domain, "normal", number, point)
    for domain, number, point in _domains(faulty, faulty // 2):
        fault = faults[number % len(faults)]
        step = number // len(faults) % 5 / 4
        severity = LEAST_SEVERITY + (1 - LEAST_SEVERITY) * step
        yield Take("test", domain, "anomaly", number, point, fault, severity)


def _plan_2021(order: Order, kind: str, section: int) -> Iterator[Take]:
    # As in the challenge, what shifts the domain is one thing in some sections and
    # another in others: speed and load in two of three, noise in the third.
    target = NOISY_POINTS if section % 3 == 2 else TARGET_POINTS
    domains = (("source", SOURCE_POINTS), ("target", target))
    for (domain, points), count in zip(
        domains, (order.clips_train, TARGET_CLIPS), strict=True
    ):
        for number in range(count):
            point = points[number % len(points)]
            yield Take("train", domain, "normal", number, point, layout="2021")
    faults, count = KINDS[kind].faults, order.clips_test // 4
    for index, (domain, points) in enumerate(domains):
        for number in range(count):
            point = points[number % len(points)]
            yield Take("test", domain, "normal", number, point, layout="2021")
        rng = np.random.default_rng([order.seed, section, index])
        # Every fault, from faint to grave, at every operating point, but in no order:
        # a name tells nothing.
        grades = rng.permutation(np.geomspace(*SEVERITIES[kind], count))
        which, where = rng.permutation(count), rng.permutation(count)
        for number in range(count):
            yield Take(
                "test",
                domain,
                "anomaly",
                number,
                points[where[number] % len(points)],
                faults[which[number] % len(faults)],
                float(grades[number]),
                layout="2021",
            )


_PLANS: dict[str, Callable[[Order, str, int], Iterator[Take]]] = {
    "2022": _plan_2022,
    "2021": _plan_2021,
}
