"""The autoencoder of the DCASE challenge: a yardstick, not for bundles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from asd_agent.errors import SoundError
from asd_agent.features import LogMelSpec

FEATURES = LogMelSpec(unit_frames=5, unit_shift=1)
"""Its input: units of 128 mel bands and five frames of 64 ms, 32 ms apart, in
decibel and not normalised"""
BATCH = 256
"""Vectors learnt at a time"""
LEARNING_RATE = 1e-3
"""Adam's"""
WIDTHS = (128, 128, 128, 128, 8, 128, 128, 128, 128)
"""Values in each inner layer"""

Frames = NDArray[np.floating[Any]]


class Autoencoder(nn.Module):
    """Dense layers down to 8 values and up again.

    Source: the baseline of DCASE 2020-2023 Task 2 (Koizumi et al. 2020; Harada et
    al. 2023): each inner layer with batch norm and ReLU, the last one plain.

    Parameters
    ----------
    size : int
        Values in a vector: 640 of `FEATURES`.
    """

    def __init__(self, size: int):
        super().__init__()
        layers: list[nn.Module] = []
        before = size
        for width in WIDTHS:
            layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU()]
            before = width
        self.layers = nn.Sequential(*layers, nn.Linear(before, size))
        self.size = size

    def forward(self, vectors: Tensor) -> Tensor:
        """Rebuild vectors ``(B, size)``."""
        out: Tensor = self.layers(vectors)
        return out

    @torch.inference_mode()
    def errors(self, frames: Frames) -> NDArray[np.float64]:
        """Mean squared error of each vector, shape ``(n,)``."""
        self.eval()
        vectors = self._vectors(frames)
        error = (self(vectors) - vectors).square().mean(1)
        return np.asarray(error.cpu().numpy(), np.float64)

    def score(self, frames: Frames) -> float:
        """Score a clip: the mean error of its vectors, higher is more anomalous.

        Parameters
        ----------
        frames : array, shape ``(n, ...)``
            All units of the clip; each is taken as one vector.

        Raises
        ------
        SoundError
            There is none, or it has another size than those learnt.
        """
        return float(self.errors(frames).mean())

    def _vectors(self, frames: Frames) -> Tensor:
        vectors = _flat(frames)
        if vectors.shape[1] != self.size:
            raise SoundError(
                f"vectors of {vectors.shape[1]} values for an autoencoder of "
                f"{self.size}: use the features that it was fitted with"
            )
        return vectors.to(next(self.parameters()).device)


def fit_autoencoder(
    frames: Frames,
    seed: int,
    epochs: int = 100,
    *,
    device: str = "cpu",
    heard: Callable[[int, float], None] = lambda epoch, error: None,
) -> Autoencoder:
    """Fit an autoencoder to normal sound.

    Parameters
    ----------
    frames : array, shape ``(n, ...)``
        Units of all training clips of one machine, such as those of `FEATURES`;
        at least two.
    seed : int
        Of the weights and of the order; on a CPU it decides the result.
    epochs : int
        Times that all vectors are seen.
    device : str
        ``cpu`` or ``cuda``.
    heard : function
        Told the number of each epoch, from 1, and its mean squared error.

    Raises
    ------
    SoundError
        There are fewer than two vectors: batch norm needs a batch.
    """
    vectors = _flat(frames)
    if len(vectors) < 2:
        raise SoundError(
            f"{len(vectors)} vectors to fit an autoencoder to: give at least 2"
        )
    # Own generators: what else draws from torch's does not change the result.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = Autoencoder(vectors.shape[1])
    order = torch.Generator().manual_seed(seed)
    autoencoder.to(device)
    vectors = vectors.to(device)
    # One step for all weights at a time: the layers are so small that the calls
    # would otherwise take longer than the arithmetic.
    optimizer = torch.optim.Adam(
        autoencoder.parameters(), lr=LEARNING_RATE, foreach=True
    )
    for epoch in range(1, epochs + 1):
        error = _epoch(autoencoder, optimizer, vectors, order)
        heard(epoch, error)
    return autoencoder.eval()


def _epoch(
    autoencoder: Autoencoder,
    optimizer: torch.optim.Adam,
    vectors: Tensor,
    order: torch.Generator,
) -> float:
    """See every vector once; returns the mean squared error."""
    autoencoder.train()
    total = torch.zeros((), device=vectors.device)
    mixed = torch.randperm(len(vectors), generator=order).to(vectors.device)
    for rows in torch.split(mixed, BATCH):
        if len(rows) < 2:  # batch norm has no variance of a single vector
            continue
        batch = vectors[rows]
        loss = functional.mse_loss(autoencoder(batch), batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.detach() * len(rows)
    return float(total) / len(vectors)


def _flat(frames: Frames) -> Tensor:
    if frames.ndim < 2 or not len(frames):
        raise SoundError(
            f"frames of shape {frames.shape}: expected (n, values) with n at least 1"
        )
    values = np.ascontiguousarray(frames.reshape(len(frames), -1), np.float32)
    return torch.from_numpy(values)
