"""Recordings in memory, and the random units that a network is trained on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec, FeatureStream
from asd_train.augment import AugmentSpec, gained, mixed, with_background
from asd_train.data.dcase import Clip

Samples = NDArray[np.float32]
Wave = NDArray[np.int16]


def read_wave(clip: Clip, spec: FeatureSpec) -> Wave:
    """Read the clip's channel at the rate of `spec`, 16 bits a sample.

    Raises
    ------
    SoundError
        The file cannot be read, has no such channel, or is shorter than one unit.
    """
    try:
        sound, rate_hz = soundfile.read(clip.path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise SoundError(f"{clip.path}: not a readable recording: {error}") from error
    if not 0 <= clip.channel < sound.shape[1]:
        raise SoundError(
            f"{clip.path}: channel {clip.channel} is not there: the file has "
            f"{sound.shape[1]}, counted from 0. Ask for another --channel"
        )
    samples = sound[:, clip.channel]
    if rate_hz != spec.rate_hz:
        samples = soxr.resample(samples, rate_hz, spec.rate_hz)
    if len(samples) < spec.unit_samples:
        raise SoundError(
            f"{clip.path} lasts {len(samples) / spec.rate_hz:.2f} s, one unit "
            f"{spec.unit_samples / spec.rate_hz:.2f} s. Leave it out or cut it longer"
        )
    whole = np.clip(np.round(samples * 32768), -32768, 32767)
    return np.asarray(whole, np.int16)


def to_float(wave: Wave) -> Samples:
    """Samples of full scale 1."""
    return wave.astype(np.float32) / np.float32(32768)


@dataclass(frozen=True, slots=True)
class Batch:
    """Units to train on."""

    units: NDArray[np.float32]
    """Shape ``(B, 1, bands, frames)``"""
    labels: NDArray[np.int64]
    """Class of each, shape ``(B,)``"""
    others: NDArray[np.int64]
    """Class that it is mixed with, or its own, shape ``(B,)``"""
    shares: NDArray[np.float32]
    """Weight of the first class, 1 where nothing is mixed, shape ``(B,)``"""


class UnitSampler:
    """Draws batches: a class, a clip of it, a place in it, each evenly.

    Classes are drawn evenly because a data set has a hundred times more clips of
    some conditions than of others. A batch follows from seed and number alone, so
    a training run that is resumed sees what it would have seen.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        waves: Sequence[Wave],
        labels: Sequence[int],
        augment: AugmentSpec,
        seed: int,
    ) -> None:
        self.spec, self.augment, self.seed = spec, augment, seed
        self._waves = waves
        self._clips: list[list[int]] = [[] for _ in range(max(labels) + 1)]
        for clip, label in enumerate(labels):
            self._clips[label].append(clip)
        self._stream = FeatureStream(spec)

    def batch(self, number: int, size: int) -> Batch:
        """Draw the batch of this number."""
        rng = np.random.default_rng([self.seed, number])
        units = np.zeros((size, 1, *self.spec.unit_shape), np.float32)
        labels = rng.integers(len(self._clips), size=size)
        others = labels.copy()
        shares = np.ones(size, np.float32)
        for i, label in enumerate(labels):
            samples = self._cut(label, rng)
            if rng.uniform() < self.augment.mixup:
                others[i] = rng.integers(len(self._clips))
                samples, shares[i] = mixed(
                    samples, self._cut(others[i], rng), rng, self.augment.mixup_level
                )
            samples = with_background(self.augment, samples, rng)
            samples = gained(self.augment, samples, rng)
            self._stream.reset(0)
            for unit in self._stream.push(samples):
                units[i, 0] = unit.values
        return Batch(units, labels, others, shares)

    def _cut(self, label: int, rng: np.random.Generator) -> Samples:
        clips = self._clips[label]
        wave = self._waves[clips[rng.integers(len(clips))]]
        start = rng.integers(len(wave) - self.spec.unit_samples + 1)
        return to_float(wave[start : start + self.spec.unit_samples])


def normalisation(
    units: NDArray[np.float32],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every band, in decibel.

    Parameters
    ----------
    units : array, shape ``(n, bands, frames)``
        Not normalised.

    Returns
    -------
    mean_db, std_db : tuple of float
        Rounded to 1e-4, so that JSON holds them exactly; the deviation is at
        least 1 dB, lest a band without sound is blown up.
    """
    wide = units.astype(np.float64)
    mean_db = wide.mean(axis=(0, 2)).round(4)
    std_db = np.maximum(wide.std(axis=(0, 2)), 1.0).round(4)
    return tuple(mean_db.tolist()), tuple(std_db.tolist())


def class_name(clip: Clip, classes: str) -> str:
    """Name of a clip's class: ``fan/00``, or with attributes ``fan/00/spd_100``."""
    name = f"{clip.machine}/{clip.section}"
    return f"{name}/{clip.attributes}" if classes == "attributes" else name


def find_class(clip: Clip, names: Sequence[str]) -> int:
    """Class of a clip that may carry more attributes than its class; -1: none fits."""
    full = class_name(clip, "attributes")
    fits = [n for n in names if full == n or full.startswith((n + "/", n + "_"))]
    return names.index(max(fits, key=len)) if fits else -1


def class_names(clips: Iterable[Clip], classes: str) -> tuple[str, ...]:
    """All classes, sorted."""
    return tuple(sorted({class_name(clip, classes) for clip in clips}))
