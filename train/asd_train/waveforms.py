"""Augmentation of a whole batch in torch, as `augment` does it to one unit."""

import numpy as np
import torch
from torch import Tensor

from asd_train.augment import MixupLevel
from asd_train.draws import Draws
from asd_train.shelf import Shelf

_FLAT_BINS = 50.0
"""Bin below which the background's power no longer rises"""


def augmented(draws: Draws, shelf: Shelf, level: MixupLevel) -> Tensor:
    """Cut, mix, bury and amplify as drawn.

    Parameters
    ----------
    draws : Draws
    shelf : Shelf
    level : str
        Of the unit that is mixed in, see `AugmentSpec.mixup_level`.

    Returns
    -------
    tensor, shape ``(B, unit_samples)``, float32
        On the device of `shelf`.
    """
    samples = shelf.cut(draws.clips[:, 0], draws.starts[:, 0])
    _mix(samples, draws, shelf, level)
    _bury(samples, draws)
    gains = torch.from_numpy(draws.gains).to(samples.device)
    return samples * gains[:, None]


def _mix(samples: Tensor, draws: Draws, shelf: Shelf, level: MixupLevel) -> None:
    rows = np.flatnonzero(draws.clips[:, 1] >= 0)
    if not len(rows):
        return
    others = shelf.cut(draws.clips[rows, 1], draws.starts[rows, 1])
    at = torch.from_numpy(rows).to(samples.device)
    shares = torch.from_numpy(draws.shares[rows]).to(samples.device)[:, None]
    if level == "matched":
        others = others * (_level(samples[at]) / _level(others))
    samples[at] = shares * samples[at] + (1 - shares) * others


def _bury(samples: Tensor, draws: Draws) -> None:
    rows = np.flatnonzero(np.isfinite(draws.snr_db))
    if not len(rows):
        return
    at = torch.from_numpy(rows).to(samples.device)
    slopes, snr_db = (
        torch.from_numpy(part[rows]).to(samples.device)[:, None]
        for part in (draws.slopes, draws.snr_db)
    )
    white = torch.from_numpy(draws.noise[rows]).to(samples.device)
    bins = torch.arange(white.shape[1], device=samples.device, dtype=torch.float64)
    colour = bins.clamp_min(_FLAT_BINS) ** (-slopes / 2)
    noise = torch.fft.irfft(white * colour, samples.shape[1])
    noise *= _level(samples[at]) / _level(noise) * 10 ** (-snr_db / 20)
    samples[at] += noise.float()


def _level(samples: Tensor) -> Tensor:
    """Root mean square of each row, shape ``(n, 1)``."""
    return samples.square().mean(1, keepdim=True).sqrt() + 1e-7
