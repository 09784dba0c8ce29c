"""From blocks of samples to what was heard in each unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.capture.chunk import Block
from asd_agent.capture.signal_health import Verdict, assess
from asd_agent.features.stream import FeatureStream, Unit

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """One unit of sound, heard by every member of the bundle."""

    end_sample: int
    """Sample counter just past the unit"""
    vectors: tuple[Array, ...]
    """Vector of the unit, one for each member, shape ``(size,)``; empty if deaf"""
    levels: Array
    """Decibel in each group of bands, shape ``(groups,)``; empty if deaf"""
    level_dbfs: float
    """Root mean square of the unit, decibel to full scale"""
    verdict: Verdict
    """Whether it can be the sound of a machine at all"""
    gap: bool
    """Whether sound was lost between the unit before and this one"""
    reason: str = ""
    """Why the verdict is not ``ok``, see `SignalHealth.reason`; ``not_finite``"""


class Hearing:
    """Listens to one source. Has no clock and does no I/O."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        # Members that hear through the same front end share it.
        fronts = list(dict.fromkeys(member.spec.features for member in members))
        self._streams = [FeatureStream(front) for front in fronts]
        self._front = [fronts.index(member.spec.features) for member in members]
        self.stride = 1
        """Only every n-th unit is heard: less work where it is too much"""
        self._turn = 0
        self._begun = False
        self._gap = False
        self._clipped_past = 0
        self.not_finite = 0
        """Units of sound for which a network gave what is no number"""
        self._first: tuple[Array, ...] = ()
        self._same = [True] * len(members)

    @property
    def stuck(self) -> bool:
        """Whether a member gives the same vector for all that it has heard."""
        return any(self._same)

    def hear(self, block: Block) -> Iterator[Heard]:
        """Take samples; yield each unit that they complete."""
        past = block.start + len(block.samples)
        if block.gap:
            # A unit across lost samples would hold a jump that nobody made, and
            # the jump can lie anywhere in the block.
            self._reset(past)
            self._gap = True
            return
        if not self._begun:
            self._reset(block.start)
        if block.clipped:
            self._clipped_past = past
        pushes = [stream.push(block.samples) for stream in self._streams]
        for units in zip(*pushes, strict=True):
            self._turn += 1
            if (self._turn - 1) % self.stride == 0:
                yield self._unit(units)
                self._gap = False

    def _reset(self, start: int) -> None:
        for stream in self._streams:
            stream.reset(start)
        self._turn = 0
        self._begun = True

    def _unit(self, units: tuple[Unit, ...]) -> Heard:
        samples = units[0].samples
        health = assess(samples, clipped=units[0].start < self._clipped_past)
        verdict, reason = health.verdict, health.reason
        vectors: tuple[Array, ...] = ()
        levels = np.zeros(0, np.float32)
        if verdict is not Verdict.NO_SIGNAL:
            vectors = tuple(
                member.embed(units[front].values)
                for member, front in zip(self._members, self._front, strict=True)
            )
            levels = self._members[0].groups.levels(units[0].values)
        if not all(np.isfinite(vector).all() for vector in vectors):
            # Out of a network that overflowed; one would spoil every window after.
            self.not_finite += 1
            verdict, vectors, reason = Verdict.NO_SIGNAL, (), "not_finite"
        self._compare(vectors)
        end_sample = units[0].start + len(samples)
        level_dbfs, gap = health.level_dbfs, self._gap
        return Heard(end_sample, vectors, levels, level_dbfs, verdict, gap, reason)

    def _compare(self, vectors: tuple[Array, ...]) -> None:
        """Note which members have given more than one vector."""
        if not vectors or not any(self._same):
            return
        if not self._first:
            self._first = tuple(vector.copy() for vector in vectors)
            return
        self._same = [
            same and np.array_equal(first, vector)
            for same, first, vector in zip(
                self._same, self._first, vectors, strict=True
            )
        ]
