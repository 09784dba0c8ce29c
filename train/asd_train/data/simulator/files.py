"""Writes simulated machines as a folder of recordings named as DCASE does."""

import wave
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from asd_agent.errors import ConfigError
from asd_train.data.simulator.kinds import KINDS
from asd_train.data.simulator.machine import Machine
from asd_train.data.simulator.motion import (
    SOURCE_POINTS,
    TARGET_POINTS,
    OperatingPoint,
)
from asd_train.data.simulator.signal import Signal

TARGET_SHARE = 0.1
"""Part of the training clips that are of the target domain"""
LEAST_SEVERITY = 0.2
"""Severity of the faintest fault in a test clip; the gravest has 1"""


@dataclass(frozen=True, slots=True)
class Order:
    """What to simulate."""

    machines: tuple[str, ...]
    """Machine types"""
    sections: int = 6
    """Individuals of each type"""
    clips_train: int = 100
    """Normal clips to train on, of each individual"""
    clips_test: int = 50
    """Clips to test on, of each individual: half normal, half faulty"""
    seconds: float = 10.0
    """Length of a clip"""
    rate_hz: int = 16_000
    seed: int = 1

    @property
    def clips(self) -> int:
        """Files in all."""
        per_section = self.clips_train + self.clips_test
        return len(self.machines) * self.sections * per_section

    def check(self) -> None:
        """See that every machine type is known.

        Raises
        ------
        ConfigError
            One is not.
        """
        for kind in self.machines:
            if kind not in KINDS:
                raise ConfigError(
                    f"no machine type {kind!r}; the simulator has {', '.join(KINDS)}"
                )


@dataclass(frozen=True, slots=True)
class _Clip:
    split: str
    domain: str
    label: str
    number: int
    point: OperatingPoint
    fault: str | None = None
    severity: float = 0.0

    def name(self, section: int) -> str:
        parts = f"section_{section:02}_{self.domain}_{self.split}_{self.label}"
        name = f"{parts}_{self.number:04}_{self.point.attributes}"
        if self.fault:
            name += f"_fault_{self.fault}_sev_{round(100 * self.severity)}"
        return name + ".wav"


def _domains(count: int, target: int) -> Iterator[tuple[str, int, OperatingPoint]]:
    for domain, points, clips in (
        ("source", SOURCE_POINTS, count - target),
        ("target", TARGET_POINTS, target),
    ):
        for number in range(clips):
            yield domain, number, points[number % len(points)]


def _plan(order: Order, faults: tuple[str, ...]) -> Iterator[_Clip]:
    target = round(order.clips_train * TARGET_SHARE)
    for domain, number, point in _domains(order.clips_train, target):
        yield _Clip("train", domain, "normal", number, point)
    faulty = order.clips_test // 2
    normal = order.clips_test - faulty
    for domain, number, point in _domains(normal, normal // 2):
        yield _Clip("test", domain, "normal", number, point)
    for domain, number, point in _domains(faulty, faulty // 2):
        fault = faults[number % len(faults)]
        step = number // len(faults) % 5 / 4
        severity = LEAST_SEVERITY + (1 - LEAST_SEVERITY) * step
        yield _Clip("test", domain, "anomaly", number, point, fault, severity)


def write_wave(path: Path, samples: Signal, rate_hz: int) -> None:
    """Write 16-bit mono; full scale is 1."""
    whole = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(whole.tobytes())


def write_section(order: Order, root: Path, kind: str, section: int) -> int:
    """Write all clips of one individual; returns how many."""
    machine = Machine.draw(kind, order.seed * 1000 + section)
    clips = list(_plan(order, machine.faults))
    for index, clip in enumerate(clips):
        sound = machine.render(
            order.seconds,
            order.rate_hz,
            clip.point,
            fault=clip.fault,
            severity=clip.severity,
            seed=(order.seed * 1000 + section) * 100_000 + index,
        )
        folder = root / kind / clip.split
        folder.mkdir(parents=True, exist_ok=True)
        write_wave(folder / clip.name(section), sound, order.rate_hz)
    return len(clips)


def simulate(order: Order, root: Path, jobs: int = 1) -> Iterator[int]:
    """Write the whole order.

    Parameters
    ----------
    order : Order
    root : Path
        Folder; made if it is not there.
    jobs : int
        Processes that work side by side; the files are the same for any number.

    Yields
    ------
    int
        Clips written since the last one.

    Raises
    ------
    ConfigError
        A machine type is unknown.
    """
    order.check()
    sections = [(k, s) for k in order.machines for s in range(order.sections)]
    if jobs == 1:
        for kind, section in sections:
            yield write_section(order, root, kind, section)
        return
    # Spawned, not forked: a fork of a process with threads may never return.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        work = [pool.submit(write_section, order, root, *item) for item in sections]
        for done in work:
            yield done.result()


def prepare_folder(root: Path, overwrite: bool) -> None:
    """Make the folder, or see that it may be written to.

    Raises
    ------
    ConfigError
        It holds something and `overwrite` was not said.
    """
    if root.is_dir() and any(root.iterdir()) and not overwrite:
        raise ConfigError(
            f"{root} is not empty. Give another folder, or --overwrite to write "
            "over clips of the same names"
        )
    root.mkdir(parents=True, exist_ok=True)
