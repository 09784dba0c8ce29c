"""The recordings of one training run: what is learnt, what is held out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec, units
from asd_train.augment import AugmentSpec
from asd_train.data.dcase import Clip, read_folder
from asd_train.data.units import (
    UnitSampler,
    Wave,
    class_name,
    class_names,
    find_class,
    normalisation,
    read_wave,
    to_float,
)
from asd_train.recipe import Recipe

STATISTICS_UNITS = 1024
"""Units that the normalisation is taken from"""
CALIBRATION_UNITS = 200
HELDOUT_UNITS = 400
HELDOUT_PER_CLIP = 10
"""Units of one held-out clip: about six seconds"""
HELDOUT_GROUPS = 10
"""Individuals that clips are held out of: several clips each tell more than one"""
GOLDEN_S = 4.0
"""Seconds of golden audio"""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run trains on and what it keeps aside."""

    classes: tuple[str, ...]
    waves: tuple[Wave, ...]
    """Training recordings"""
    labels: tuple[int, ...]
    """Class of each"""
    heldout: tuple[Clip, ...]
    """Clips kept aside, at most one shelf of `HELDOUT_UNITS`"""
    description: dict[str, str | int | float]

    @classmethod
    def read(cls, root: Path, recipe: Recipe) -> "Dataset":
        """Read a folder named as DCASE does.

        Raises
        ------
        SoundError
            There is too little to learn from, or a file cannot be read.
        """
        found = read_folder(root, "train", recipe.machines)
        clips = tuple(clip for clip in found if clip.label != "anomaly")
        tests = tuple(c for c in read_folder(root, "test", recipe.machines) if c.label)
        if not tests:
            clips, tests = _hold_out(clips, recipe.classes)
        names = class_names(clips, recipe.classes)
        if len(names) < 2:
            raise SoundError(
                f"{root}: {len(clips)} training clips of {len(names)} classes. The "
                "network learns by telling classes apart: at least 2 are needed, as "
                "<machine>/train/section_<nn>_..., see docs/training.md"
            )
        waves = tuple(
            read_wave(clip, recipe.features)
            for clip in tqdm(clips, "reading", unit="clip", leave=False)
        )
        labels = tuple(names.index(class_name(c, recipe.classes)) for c in clips)
        seconds = sum(map(len, waves)) / recipe.features.rate_hz
        description: dict[str, str | int | float] = {
            "folder": root.name,
            "clips": len(clips),
            "seconds": round(seconds, 1),
            "machines": ", ".join(sorted({c.machine for c in clips})),
        }
        return cls(names, waves, labels, _shelf(tests), description)

    def sampler(
        self, spec: FeatureSpec, augment: AugmentSpec, seed: int
    ) -> UnitSampler:
        """Draws batches of these recordings."""
        return UnitSampler(spec, self.waves, self.labels, augment, seed)

    def normalised(self, spec: FeatureSpec, seed: int) -> FeatureSpec:
        """Set the normalisation of `spec` to that of these recordings."""
        bare = spec.model_copy(update={"mean_db": (), "std_db": ()})
        sampler = self.sampler(bare, AugmentSpec(), seed)
        batch = sampler.batch(0, STATISTICS_UNITS)
        mean_db, std_db = normalisation(batch.units[:, 0])
        return bare.model_copy(update={"mean_db": mean_db, "std_db": std_db})

    def heldout_units(self, spec: FeatureSpec) -> dict[str, NDArray[np.generic]]:
        """Tensors of ``heldout.safetensors``."""
        found, labels, anomaly, numbers = [], [], [], []
        for number, clip in enumerate(self.heldout):
            own = units(spec, to_float(read_wave(clip, spec)))[:HELDOUT_PER_CLIP]
            found.append(own)
            labels += [find_class(clip, self.classes)] * len(own)
            anomaly += [int(clip.label == "anomaly")] * len(own)
            numbers += [number] * len(own)
        return {
            "units": np.concatenate(found)[:HELDOUT_UNITS],
            "labels": np.array(labels[:HELDOUT_UNITS], np.int64),
            "anomaly": np.array(anomaly[:HELDOUT_UNITS], np.int64),
            "clip": np.array(numbers[:HELDOUT_UNITS], np.int64),
        }

    def golden_audio(self, spec: FeatureSpec) -> NDArray[np.float32]:
        """A few seconds of the first held-out clip that is normal."""
        clip = next((c for c in self.heldout if c.label != "anomaly"), self.heldout[0])
        wave = read_wave(clip, spec)
        return to_float(wave[: max(round(GOLDEN_S * spec.rate_hz), spec.unit_samples)])


def _hold_out(
    clips: Sequence[Clip], classes: str
) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Set the last clip of every class aside that has at least two."""
    last = {class_name(clip, classes): clip for clip in clips}
    counts = Counter(class_name(clip, classes) for clip in clips)
    aside = {clip.path for name, clip in last.items() if counts[name] > 1}
    if clips and not aside:
        raise SoundError(
            "no class has a second clip to hold out: cut the recordings into clips "
            "of about 10 s, or add a test folder"
        )
    kept = tuple(clip for clip in clips if clip.path not in aside)
    return kept, tuple(clip for clip in clips if clip.path in aside)


def _shelf(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Pick clips of a few individuals in turn, normal and anomalous alike."""
    groups: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        groups[class_name(clip, "section")][clip.label].append(clip)
    names = sorted(groups)
    chosen = names[:: -(-len(names) // HELDOUT_GROUPS)]
    queues = [_spread(queue) for n in chosen for queue in groups[n].values()]
    turns = (clip for turn in zip_longest(*queues) for clip in turn if clip)
    return tuple(turns)[: HELDOUT_UNITS // HELDOUT_PER_CLIP]


def _spread(clips: Sequence[Clip]) -> list[Clip]:
    """Order clips so that the first few are far apart: conditions follow in runs."""
    order = np.argsort(np.arange(len(clips)) * 0.618034 % 1.0)
    return [clips[i] for i in order]
