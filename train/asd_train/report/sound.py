"""Spectrograms of recordings, by the front end that the agent hears with."""

from pathlib import Path

import numpy as np

from asd_agent.capture.recording import read
from asd_agent.capture.resample import Resampler
from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec, units
from asd_agent.features.stream import band_edges_hz
from asd_train.report.figures.spectrogram import Picture, gridded


def picture(path: Path, spec: FeatureSpec) -> Picture:
    """Spectrogram of the first channel of a recording.

    Raises
    ------
    SoundError
        It cannot be read, or is shorter than one unit.
    """
    # In decibel: without the normalisation that a network asks for.
    plain = spec.model_copy(update={"mean_db": (), "std_db": ()})
    parts, rate_hz = [], spec.rate_hz
    for chunk in read(path, block_s=60):
        rate_hz = chunk.rate_hz
        parts.append(chunk.samples)
    samples = Resampler(rate_hz, spec.rate_hz).push(np.concatenate(parts), last=True)
    found = units(plain, samples)
    if not len(found):
        raise SoundError(f"{path} is shorter than one unit of sound; leave it out")
    # Each unit after the first brings `unit_shift` new frames at its end.
    levels = np.concatenate(
        [found[0], *found[1:, :, -spec.unit_shift :]], axis=1, dtype=np.float32
    )
    seconds = levels.shape[1] * spec.hop / spec.rate_hz
    return gridded(levels, band_edges_hz(plain), seconds)
