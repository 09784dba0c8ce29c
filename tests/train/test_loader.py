"""Batches made on the device are those of the reference; a thread makes them ahead."""

import threading
from contextlib import closing

import numpy as np
import pytest
import torch

from asd_agent.features import SecomSpec
from asd_train.augment import AugmentSpec
from asd_train.data.units import UnitSampler
from asd_train.draws import Drawer
from asd_train.frontend import FrontEnd
from asd_train.loader import DeviceLoader, HostLoader, Lesson, lessons
from asd_train.shelf import Shelf, fits

SPEC = SecomSpec(window=256, hop=64, unit_frames=4, unit_shift=2)
CPU = torch.device("cpu")
WHOLE = slice(0, 16)
RNG = np.random.default_rng(5)
WAVES = [
    (RNG.standard_normal(n) * 2000).astype(np.int16) for n in (448, 900, 2000, 5000)
]
LABELS = [0, 0, 1, 2]


def _loaders(
    augment: AugmentSpec, resident: bool = True, rows: slice = WHOLE
) -> tuple[HostLoader, DeviceLoader]:
    sampler = UnitSampler(SPEC, WAVES, LABELS, augment, 7)
    drawer = Drawer(SPEC, [len(wave) for wave in WAVES], LABELS, augment, 7)
    shelf = Shelf(WAVES, SPEC.unit_samples, CPU, resident)
    device = DeviceLoader(drawer, shelf, FrontEnd(SPEC), augment, size=16, rows=rows)
    return HostLoader(sampler, 16, rows), device


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize(
    "augment",
    [
        AugmentSpec(),
        AugmentSpec(gain_db=12),
        AugmentSpec(background=0.5, background_snr_db=(-5, 20)),
        AugmentSpec(mixup=0.5),
        AugmentSpec(mixup=1, mixup_level="as_is"),
        AugmentSpec(gain_db=6, background=0.7, mixup=0.5),
    ],
)
def test_both_loaders_make_the_same_batches(
    augment: AugmentSpec, resident: bool
) -> None:
    host, device = _loaders(augment, resident)
    for number in (0, 1, 50):
        one, other = host.lesson(number), device.lesson(number)
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.others, other.others)
        assert torch.equal(one.shares, other.shares)
        # Samples are rounded to float32 between the steps, in another order.
        torch.testing.assert_close(other.units, one.units, atol=0.02, rtol=0)
        assert (other.units - one.units).abs().mean() < 1e-4


@pytest.mark.parametrize("which", [0, 1])
def test_processes_share_the_batch_of_one(which: int) -> None:
    augment = AugmentSpec(gain_db=6, background=0.5, mixup=0.5)
    whole = _loaders(augment)[which].lesson(3)
    parts = [
        _loaders(augment, rows=slice(i, i + 4))[which].lesson(3) for i in (0, 4, 8, 12)
    ]
    torch.testing.assert_close(torch.cat([part.units for part in parts]), whole.units)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def test_units_fit_a_gpu_alone() -> None:
    assert not fits(WAVES, CPU)


def _lesson(number: int) -> Lesson:
    return Lesson(*(torch.tensor([number]) for _ in range(4)))


def test_lessons_come_in_order_and_are_made_ahead() -> None:
    made = threading.Semaphore(0)
    threads = set()

    def make(number: int) -> Lesson:
        threads.add(threading.current_thread())
        made.release()
        return _lesson(number)

    with closing(lessons(make, 5)) as batches:
        found = [int(next(batches).labels) for _ in range(4)]
        assert found == [5, 6, 7, 8]
        # Two more than were taken.
        assert all(made.acquire(timeout=5) for _ in range(6))
        assert not made.acquire(timeout=0.05)
    assert threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_an_error_in_the_thread_is_raised_where_the_batch_is_asked_for() -> None:
    def make(number: int) -> Lesson:
        if number == 1:
            raise ValueError("batch 1")
        return _lesson(number)

    with closing(lessons(make, 0)) as batches:
        next(batches)
        with pytest.raises(ValueError, match="batch 1"):
            next(batches)
