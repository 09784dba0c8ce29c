"""What chance decides about a batch, apart from the sound itself.

The same draws in the same order as `UnitSampler`, so that a GPU learns the very
batches that a CPU would.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from asd_agent.features import FeatureSpec
from asd_train.augment import AugmentSpec


@dataclass(frozen=True, slots=True)
class Draws:
    """One row for each unit of a batch."""

    labels: NDArray[np.int64]
    """Class, shape ``(B,)``"""
    others: NDArray[np.int64]
    """Class that it is mixed with, or its own, shape ``(B,)``"""
    shares: NDArray[np.float32]
    """Weight of the first class, 1 where nothing is mixed, shape ``(B,)``"""
    clips: NDArray[np.int64]
    """Recording of the unit and of the one mixed in, or -1, shape ``(B, 2)``"""
    starts: NDArray[np.int64]
    """First sample in each, shape ``(B, 2)``"""
    noise: NDArray[np.complex64]
    """White spectrum of the background, zero where none, shape ``(B, bins)``"""
    slopes: NDArray[np.float64]
    """Exponent with which its power falls, shape ``(B,)``"""
    snr_db: NDArray[np.float64]
    """Sound to background in decibel, infinite where none, shape ``(B,)``"""
    gains: NDArray[np.float32]
    """Factor of the level, shape ``(B,)``"""

    def take(self, rows: slice) -> "Draws":
        """Keep some of the units."""
        return Draws(*(getattr(self, field.name)[rows] for field in fields(self)))


class Drawer:
    """Draws for batches of a number of recordings.

    Parameters
    ----------
    spec : FeatureSpec
    lengths : sequence of int
        Samples of each recording.
    labels : sequence of int
        Class of each recording.
    augment : AugmentSpec
    seed : int
    """

    def __init__(
        self,
        spec: FeatureSpec,
        lengths: Sequence[int],
        labels: Sequence[int],
        augment: AugmentSpec,
        seed: int,
    ) -> None:
        self._samples, self._augment, self._seed = spec.unit_samples, augment, seed
        self._lengths = lengths
        self._clips: list[list[int]] = [[] for _ in range(max(labels) + 1)]
        for clip, label in enumerate(labels):
            self._clips[label].append(clip)

    def draw(self, number: int, size: int) -> Draws:
        """Draw for the batch of this number."""
        rng = np.random.default_rng([self._seed, number])
        labels = rng.integers(len(self._clips), size=size)
        draws = Draws(
            labels,
            labels.copy(),
            np.ones(size, np.float32),
            np.full((size, 2), -1, np.int64),
            np.zeros((size, 2), np.int64),
            np.zeros((size, self._samples // 2 + 1), np.complex64),
            np.zeros(size),
            np.full(size, np.inf),
            np.ones(size, np.float32),
        )
        for i, label in enumerate(labels):
            self._unit(draws, i, label, rng)
        return draws

    def _unit(self, draws: Draws, i: int, label: int, rng: np.random.Generator) -> None:
        augment = self._augment
        draws.clips[i, 0], draws.starts[i, 0] = self._place(label, rng)
        if rng.uniform() < augment.mixup:
            draws.others[i] = rng.integers(len(self._clips))
            other = self._place(int(draws.others[i]), rng)
            draws.clips[i, 1], draws.starts[i, 1] = other
            draws.shares[i] = rng.uniform()
        if rng.uniform() < augment.background:
            parts = rng.standard_normal((2, draws.noise.shape[1]), dtype=np.float32)
            draws.noise[i] = parts[0] + 1j * parts[1]
            draws.slopes[i] = rng.uniform(0, 2)
            draws.snr_db[i] = rng.uniform(*augment.background_snr_db)
        draws.gains[i] = 10 ** (rng.uniform(-augment.gain_db, augment.gain_db) / 20)

    def _place(self, label: int, rng: np.random.Generator) -> tuple[int, int]:
        clips = self._clips[label]
        clip = clips[rng.integers(len(clips))]
        return clip, int(rng.integers(self._lengths[clip] - self._samples + 1))
