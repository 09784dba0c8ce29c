"""What is done to a unit's samples in training so that it does not matter on site."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Samples = NDArray[np.float32]
MixupLevel = Literal["matched", "as_is"]


class AugmentSpec(BaseModel):
    """Switches of a recipe; as it stands, nothing is changed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gain_db: float = Field(0.0, ge=0, le=40)
    """Each unit's level is moved by up to so many decibel, up or down"""
    background: float = Field(0.0, ge=0, le=1)
    """Part of the units that coloured noise is added to"""
    background_snr_db: tuple[float, float] = (0.0, 20.0)
    """Sound to added noise, decibel: lowest and highest"""
    mixup: float = Field(0.0, ge=0, le=1)
    """Part of the units that are mixed with one of another class, label too"""
    mixup_level: MixupLevel = "matched"
    """`matched`: the other unit is first brought to the level of the one, so that
    the share of a class is that of its sound: for machines that differ in level
    by chance. `as_is`: each keeps its own, where the level itself tells"""


def gained(spec: AugmentSpec, samples: Samples, rng: np.random.Generator) -> Samples:
    """Change the level at random."""
    gain = 10 ** (rng.uniform(-spec.gain_db, spec.gain_db) / 20)
    return samples * np.float32(gain)


def with_background(
    spec: AugmentSpec, samples: Samples, rng: np.random.Generator
) -> Samples:
    """Add noise between white and brown at a random level."""
    if rng.uniform() >= spec.background:
        return samples
    bins = len(samples) // 2 + 1
    parts = rng.standard_normal((2, bins), dtype=np.float32)
    # Power falls with the frequency to this exponent, and is flat below bin 50.
    slope = rng.uniform(0, 2)
    colour = np.maximum(np.arange(bins), 50.0) ** (-slope / 2)
    noise = np.fft.irfft((parts[0] + 1j * parts[1]) * colour, len(samples))
    noise *= _level(samples) / _level(noise)
    noise *= 10 ** (-rng.uniform(*spec.background_snr_db) / 20)
    return samples + noise.astype(np.float32)


def mixed(
    samples: Samples,
    other: Samples,
    rng: np.random.Generator,
    level: MixupLevel = "matched",
) -> tuple[Samples, float]:
    """Mix two units (Zhang et al. 2018); returns the mixture and the share.

    The share of the first is drawn evenly between 0 and 1, which is the Beta
    distribution with alpha 1.
    """
    share = float(rng.uniform())
    if level == "matched":
        other = other * np.float32(_level(samples) / _level(other))
    return np.float32(share) * samples + np.float32(1 - share) * other, share


def _level(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) + 1e-7
