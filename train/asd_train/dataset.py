"""The recordings of one training run: what is learnt, what is held out."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec, units
from asd_train.augment import AugmentSpec
from asd_train.data.dcase import Clip
from asd_train.data.reading import AS_FOUND, Reading
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
from asd_train.draws import Drawer
from asd_train.frontend import FrontEnd
from asd_train.loader import DeviceLoader, HostLoader, Loader
from asd_train.recipe import Recipe
from asd_train.shelf import Shelf, fits
from asd_train.spanning import spanning_clips

STATISTICS_UNITS = 1024
"""Units that the normalisation is taken from"""
CALIBRATION_UNITS = 200
HELDOUT_UNITS = 800
"""The exporter's gate needs about 100 clips: with 40, chance alone moves an AUC by as
much as it may lose (docs/export.md)"""
HELDOUT_PER_CLIP = 8
"""Units of one held-out clip: about five seconds"""
HELDOUT_GROUPS = 10
"""Individuals that clips are held out of: several clips each tell more than one"""


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
    def read(
        cls,
        root: Path,
        recipe: Recipe,
        reading: Reading = AS_FOUND,
        *,
        quiet: bool = False,
    ) -> "Dataset":
        """Read a folder of recordings.

        One that cannot be used is left out with a warning, unless `reading` is
        strict.

        Parameters
        ----------
        root : Path
        recipe : Recipe
        reading : Reading
        quiet : bool
            Show no progress and warn of nothing.

        Raises
        ------
        SoundError
            There is too little to learn from, or a file cannot be read.
        """
        clips, tests = _clips(root, recipe, reading, quiet)
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
            for clip in tqdm(clips, "reading", unit="clip", leave=False, disable=quiet)
        )
        labels = tuple(names.index(class_name(c, recipe.classes)) for c in clips)
        seconds = sum(map(len, waves)) / recipe.features.rate_hz
        description: dict[str, str | int | float] = {
            "folder": root.name,
            "clips": len(clips),
            "seconds": round(seconds, 1),
            "machines": ", ".join(sorted({c.machine for c in clips})),
            "channel": reading.channel,
        }
        return cls(names, waves, labels, _shelf(tests), description)

    def sampler(
        self, spec: FeatureSpec, augment: AugmentSpec, seed: int
    ) -> UnitSampler:
        """Draws batches of these recordings."""
        return UnitSampler(spec, self.waves, self.labels, augment, seed)

    def loader(
        self,
        spec: FeatureSpec,
        augment: AugmentSpec,
        seed: int,
        *,
        size: int,
        rows: slice,
        device: torch.device,
    ) -> Loader:
        """Draws the same batches, where the network is.

        Parameters
        ----------
        spec : FeatureSpec
        augment : AugmentSpec
        seed : int
        size : int
            Units of the whole batch.
        rows : slice
            Those of this process.
        device : torch.device
        """
        if device.type == "cpu":
            return HostLoader(self.sampler(spec, augment, seed), size, rows)
        lengths = [len(wave) for wave in self.waves]
        return DeviceLoader(
            Drawer(spec, lengths, self.labels, augment, seed),
            Shelf(self.waves, spec.unit_samples, device, fits(self.waves, device)),
            FrontEnd(spec).to(device),
            augment,
            size=size,
            rows=rows,
        )

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

    def golden_audio(self, spec: FeatureSpec) -> NDArray[np.int16]:
        """Clips that span the training sound, shape ``(clips, samples)``."""
        return spanning_clips(spec, self.waves)


def _clips(
    root: Path, recipe: Recipe, reading: Reading, quiet: bool
) -> tuple[tuple[Clip, ...], tuple[Clip, ...]]:
    """Clips to learn from, and labelled test clips, all of them usable."""
    train = reading.clips(root, "train", recipe.machines)
    test = reading.clips(root, "test", recipe.machines)
    wanted = [clip for clip in train if clip.label != "anomaly"]
    wanted += [clip for clip in test if clip.label]
    found = reading.usable(wanted, recipe.features, quiet=quiet)
    parts = [tuple(c for c in found if c.split == s) for s in ("train", "test")]
    return parts[0], parts[1]


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
