"""Batches for the network, made while it learns the one before.

On a CPU the reference sampler makes them; on a GPU the same draws are carried out
there, on recordings that lie in its memory.
"""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Protocol

import torch
from torch import Tensor

from asd_train.augment import AugmentSpec
from asd_train.data.units import UnitSampler
from asd_train.draws import Drawer
from asd_train.frontend import FrontEnd
from asd_train.shelf import Shelf
from asd_train.waveforms import augmented


@dataclass(frozen=True, slots=True)
class Lesson:
    """One process's part of a batch, on its device."""

    units: Tensor
    """Shape ``(B, 1, bands, frames)``"""
    labels: Tensor
    """Class of each, int64, shape ``(B,)``"""
    others: Tensor
    """Class that it is mixed with, or its own, shape ``(B,)``"""
    shares: Tensor
    """Weight of the first class, shape ``(B,)``"""


class Loader(Protocol):
    """Makes batches; each follows from its number alone."""

    def lesson(self, number: int) -> Lesson:
        """Make the batch of this number."""
        ...


class HostLoader:
    """Batches of the reference sampler, features by the code of the device.

    Parameters
    ----------
    sampler : UnitSampler
    size : int
        Units of the whole batch.
    rows : slice
        Those of this process.
    """

    def __init__(self, sampler: UnitSampler, size: int, rows: slice) -> None:
        self._sampler, self._size, self._rows = sampler, size, rows

    def lesson(self, number: int) -> Lesson:
        """Make the batch of this number."""
        batch = self._sampler.batch(number, self._size)
        parts = (batch.units, batch.labels, batch.others, batch.shares)
        return Lesson(*(torch.from_numpy(part[self._rows]) for part in parts))


class DeviceLoader:
    """The same batches, cut, mixed and transformed where the network is.

    Equal to those of `HostLoader` but for rounding.

    Parameters
    ----------
    drawer : Drawer
    shelf : Shelf
        The recordings.
    front_end : FrontEnd
        On the device.
    augment : AugmentSpec
    size : int
        Units of the whole batch.
    rows : slice
        Those of this process.
    """

    def __init__(
        self,
        drawer: Drawer,
        shelf: Shelf,
        front_end: FrontEnd,
        augment: AugmentSpec,
        *,
        size: int,
        rows: slice,
    ) -> None:
        self._drawer, self._shelf, self._augment = drawer, shelf, augment
        self._front_end = front_end
        self._size, self._rows = size, rows

    @torch.no_grad()
    def lesson(self, number: int) -> Lesson:
        """Make the batch of this number."""
        draws = self._drawer.draw(number, self._size).take(self._rows)
        samples = augmented(draws, self._shelf, self._augment.mixup_level)
        labels, others, shares = (
            torch.from_numpy(part).to(samples.device)
            for part in (draws.labels, draws.others, draws.shares)
        )
        return Lesson(self._front_end(samples), labels, others, shares)


def lessons(
    make: Callable[[int], Lesson], first: int, depth: int = 2
) -> Generator[Lesson, None, None]:
    """Make batches in a thread of its own, `depth` ahead.

    Parameters
    ----------
    make : function
        Makes the batch of a number.
    first : int
        Number of the first batch.
    depth : int
        Batches that wait at most.

    Yields
    ------
    Lesson
        In order, without end; close the generator to end the thread.
    """
    with ThreadPoolExecutor(1, "lessons") as pool:
        waiting = deque(pool.submit(make, first + i) for i in range(depth))
        try:
            for number in count(first + depth):
                lesson = waiting.popleft().result()
                waiting.append(pool.submit(make, number))
                yield lesson
        finally:
            pool.shutdown(cancel_futures=True)
