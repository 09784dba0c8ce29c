"""Measure how fast networks are trained here: ``python -m bench.training``.

Random weights and random sound: they change the numbers, not the work.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch

from asd_agent.features import SecomSpec
from asd_train.acceleration import blocked_layout, make_optimizer, make_task, place
from asd_train.augment import AugmentSpec
from asd_train.checkpoint import Learner
from asd_train.data.units import UnitSampler
from asd_train.distributed import ALONE
from asd_train.draws import Drawer
from asd_train.environment import keep_freed_memory, pick_device
from asd_train.frontend import FrontEnd
from asd_train.loader import DeviceLoader, HostLoader, Lesson, Loader, lessons
from asd_train.loop import take_step
from asd_train.losses import LossSpec, build_head
from asd_train.models import NetworkSpec, build_network
from asd_train.recipe import TrainingSpec
from asd_train.shelf import Shelf
from bench.machine import describe

CLASSES = 20
HEAD = """\
| network | units/s | ms a unit | CPU ms a unit | features, CPU ms | waits for data |
| --- | --- | --- | --- | --- | --- |"""
AUGMENT = AugmentSpec(gain_db=12, background=0.5, mixup=0.5)


@dataclass(frozen=True, slots=True)
class Case:
    """One network and what it hears."""

    network: NetworkSpec
    features: SecomSpec

    @property
    def name(self) -> str:
        """For the table."""
        bands, frames = self.features.unit_shape
        return f"{self.network.name} {self.network.activation} {bands}x{frames}"


SHORT = SecomSpec()
CASES = [
    Case(NetworkSpec(name="mobilefacenet"), SHORT),
    Case(NetworkSpec(name="mobilefacenet", activation="prelu"), SHORT),
    Case(NetworkSpec(name="mobilenetv2"), SHORT),
    Case(NetworkSpec(name="mobilenetv2", activation="prelu"), SHORT),
    Case(NetworkSpec(name="two_branch", embedding=256, centred=True), SHORT),
]


def main(argv: Sequence[str] | None = None) -> int:
    """Print one row for each network."""
    parser = argparse.ArgumentParser(prog="python -m bench.training")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each network")
    parser.add_argument("--threads", type=int, help="of torch (its own choice)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"))
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = pick_device(args.device)
    keep_freed_memory()
    spec = TrainingSpec(
        steps=1,
        batch=args.batch,
        precision=args.precision or "float32",
        compile=args.compile,
    )
    where = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    print(describe())
    print(
        f"\n{where}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
        f"batch {args.batch}, {spec.precision}\n"
    )
    print(HEAD)
    for case in CASES:
        print(measure(case, spec, device, args.seconds), flush=True)
    return 0


def measure(
    case: Case, spec: TrainingSpec, device: torch.device, seconds: float
) -> str:
    """Train one network for so long; returns its row."""
    learner = _learner(case, spec, device)
    loader = _loader(case, spec, device)
    alone = _alone(loader, device, spec.batch)
    task = make_task(learner.network, learner.head, spec, device, ALONE)
    waited, taken = 0.0, 0
    with (
        blocked_layout(learner.network, device, spec.compile),
        closing(lessons(loader.lesson, 0)) as batches,
    ):

        def step() -> float:
            begun = time.perf_counter()
            lesson: Lesson = next(batches)
            had = time.perf_counter()
            take_step(learner, task, lesson, 1e-3)
            return had - begun

        for _ in range(2):
            step()
        _finish(device)
        start, used = time.perf_counter(), time.process_time()
        while time.perf_counter() - start < seconds:
            waited += step()
            taken += 1
        _finish(device)
        whole, used = time.perf_counter() - start, time.process_time() - used
    rate = taken * spec.batch / whole
    return (
        f"| {case.name} | {rate:.1f} | {1e3 / rate:.2f} | "
        f"{1e3 * used / taken / spec.batch:.2f} | {alone:.2f} | "
        f"{100 * waited / whole:.1f} % |"
    )


def _learner(case: Case, spec: TrainingSpec, device: torch.device) -> Learner:
    torch.manual_seed(1)
    network = build_network(case.network, case.features.unit_shape).train()
    place(network, device)
    head = build_head(LossSpec(), case.network.embedding, CLASSES).to(device)
    return Learner(network, head, make_optimizer(network, head, spec, device))


def _loader(case: Case, spec: TrainingSpec, device: torch.device) -> Loader:
    rng = np.random.default_rng(1)
    waves = [
        (rng.standard_normal(160_000) * 3000).astype(np.int16) for _ in range(CLASSES)
    ]
    labels, rows = list(range(CLASSES)), slice(0, spec.batch)
    features = case.features
    if device.type == "cpu":
        return HostLoader(
            UnitSampler(features, waves, labels, AUGMENT, 1), spec.batch, rows
        )
    return DeviceLoader(
        Drawer(features, [len(wave) for wave in waves], labels, AUGMENT, 1),
        Shelf(waves, features.unit_samples, device, resident=True),
        FrontEnd(features).to(device),
        AUGMENT,
        size=spec.batch,
        rows=rows,
    )


def _alone(loader: Loader, device: torch.device, batch: int) -> float:
    """Milliseconds of a processor that a unit takes to be made."""
    return 1e3 / batch * min(_timed(loader.lesson, device, i) for i in range(3))


def _timed(make: Callable[[int], Lesson], device: torch.device, number: int) -> float:
    start = time.process_time()
    make(number)
    _finish(device)
    return time.process_time() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    sys.exit(main())
