"""A few short clips that span the sound of a training run: the golden sound."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import band_groups
from asd_agent.features import FeatureSpec, units
from asd_train.data.units import Wave, to_float

CLIPS = 7
"""Clips as they were recorded; one more is the first of them, `QUIET_DB` softer"""
UNITS = 3
"""Units of a clip, if the recordings have as many"""
PLACES = 3
"""Places of a recording that a clip may come from: its ends and its middle"""
QUIET_DB = -40.0
"""Level of a far less sensitive microphone, decibel"""


def spanning_clips(spec: FeatureSpec, waves: Sequence[Wave]) -> NDArray[np.int16]:
    """Choose clips that are as unlike each other as the recordings have them.

    The first is the most ordinary: the nearest to the mean. Each further one is the
    farthest from those chosen (k-centre: Gonzalez, "Clustering to minimize the maximum
    intercluster distance", Theoretical Computer Science 38, 1985). Distance is that of
    level and deviation in groups of bands, decibel, so loud and quiet are far apart.

    Parameters
    ----------
    spec : FeatureSpec
    waves : sequence of arrays, shape ``(samples,)``, int16
        Two or more, each of at least one unit.

    Returns
    -------
    array, shape ``(clips, samples)``, int16
        Fewer clips than `CLIPS` where there are fewer that differ.
    """
    # Two recordings must be as long as a clip, or it has fewer units.
    second = sorted(len(wave) for wave in waves)[-2]
    kept = min(UNITS, spec.units_in(second))
    samples = spec.unit_samples + (kept - 1) * spec.shift_samples
    clips = [clip for wave in waves for clip in _places(wave, samples)]
    groups = band_groups(spec)
    places = np.stack(
        [
            np.mean([groups.statistics(u) for u in units(spec, to_float(clip))], axis=0)
            for clip in clips
        ]
    )
    chosen = [clips[i] for i in farthest(places, CLIPS)]
    gain = 10 ** (QUIET_DB / 20)
    softer = np.round(chosen[0].astype(np.float64) * gain).astype(np.int16)
    return np.stack([*chosen, softer])


def farthest(places: NDArray[np.floating], count: int) -> list[int]:
    """Rows that are far apart, shape ``(n, size)``: at most `count`, none twice."""
    distances = np.linalg.norm(places - places.mean(axis=0), axis=1)
    chosen = [int(distances.argmin())]
    nearest = np.full(len(places), np.inf)
    while len(chosen) < count:
        added = np.linalg.norm(places - places[chosen[-1]], axis=1)
        nearest = np.minimum(nearest, added)
        row = int(nearest.argmax())
        if nearest[row] == 0:
            break
        chosen.append(row)
    return chosen


def _places(wave: Wave, samples: int) -> list[Wave]:
    """Clips of a recording; none if it is too short."""
    if len(wave) < samples:
        return []
    starts = np.linspace(0, len(wave) - samples, PLACES).astype(int)
    return [wave[start : start + samples] for start in dict.fromkeys(starts.tolist())]
