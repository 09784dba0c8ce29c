"""Real recordings of a folder with a labels.csv, each heard once by a bundle."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.capture.feed import Feed
from asd_agent.capture.recording import Recording
from asd_agent.features import SecomSpec, units
from asd_agent.hearing import Heard, Hearing
from asd_agent.setup import blocks_of

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class Task:
    """One sound that is normal and others that are not, as places in a list."""

    name: str
    normal: NDArray[np.int64]
    anomalous: NDArray[np.int64]

    def halves(
        self, count: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Random halves of the normal clips: to learn from, and to score."""
        for seed in range(count):
            order = np.random.default_rng(seed).permutation(self.normal)
            middle = len(order) // 2
            yield order[:middle], order[middle:]


def clips_of(data: Path, name: str) -> list[Clip]:
    """List the labelled clips of one set; uncut recordings are left out."""
    with (data / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [
            Clip(data / row["path"], row["label"])
            for row in csv.DictReader(file)
            if row["set"] == name
            and "/long/" not in row["path"]
            and row["label"] not in ("unlabelled", "unknown")
        ]


def tasks_of(clips: Sequence[Clip]) -> list[Task]:
    """Make one task of `normal` against `anomaly`, or one of each class in turn."""
    labels = np.array([clip.label for clip in clips])
    broken = np.char.startswith(labels, "anomaly")
    if broken.any():
        normal = np.flatnonzero(labels == "normal")
        return [Task("normal", normal, np.flatnonzero(broken))]
    return [
        Task(label, np.flatnonzero(labels == label), np.flatnonzero(labels != label))
        for label in sorted(set(labels.tolist()))
    ]


def hear(members: Sequence[Member], clip: Clip) -> list[Heard]:
    """Hear a clip as `asd-agent learn --from` and `replay --per-file` do."""
    hearing = Hearing(members)
    blocks = blocks_of(Recording(clip.path), members)
    return [heard for block in blocks for heard in hearing.hear(block)]


def statistics(clip: Clip, bands: int) -> NDArray[np.float64]:
    """Mean and standard deviation over time of a coarse log spectrum.

    Returns
    -------
    array, shape ``(2 * bands,)``
        Decibel. The bands are linear to 500 Hz and logarithmic above; each is the
        mean level of its bins.
    """
    spec = SecomSpec(unit_frames=1, unit_shift=1)
    with closing(Feed(Recording(clip.path), spec.rate_hz)) as feed:
        samples = np.concatenate([block.samples for block in feed.blocks()])
    frames = units(spec, samples)[:, :, 0].astype(np.float64)
    warped = np.log1p((np.arange(spec.bands) + 1) * spec.rate_hz / spec.window / 500)
    place = (warped - warped[0]) / (warped[-1] - warped[0]) * (bands - 1e-3)
    first = np.flatnonzero(np.diff(place.astype(int), prepend=-1))
    width = np.diff(np.append(first, spec.bands))
    levels = np.add.reduceat(frames, first, axis=1) / width
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0)])
