"""Recordings where the network is: all of them if they fit, else piece by piece."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asd_train.data.units import Wave

_PART_OF_FREE_MEMORY = 0.5
"""Part of a GPU's free memory that recordings may take; the network needs the rest"""


class Shelf:
    """Cuts units out of recordings.

    Parameters
    ----------
    waves : sequence of array
        Recordings, 16 bits a sample.
    samples : int
        Length of a unit.
    device : torch.device
    resident : bool
        Keep everything in the device's memory; otherwise only what is cut is sent.
    """

    def __init__(
        self,
        waves: Sequence[Wave],
        samples: int,
        device: torch.device,
        resident: bool,
    ) -> None:
        self._waves, self.samples, self.device = waves, samples, device
        self._sounds: Tensor | None = None
        if resident:
            lengths = [len(wave) for wave in waves]
            self._offsets = np.concatenate([[0], np.cumsum(lengths)])
            self._sounds = torch.from_numpy(np.concatenate(waves)).to(device)
            self._range = torch.arange(samples, device=device)

    def cut(self, clips: NDArray[np.int64], starts: NDArray[np.int64]) -> Tensor:
        """Cut a unit out of each clip, from each start.

        Returns
        -------
        tensor, shape ``(n, samples)``, float32
            Full scale is 1; on the device.
        """
        if self._sounds is not None:
            first = torch.from_numpy(self._offsets[clips] + starts).to(self.device)
            whole = self._sounds[first[:, None] + self._range]
        else:
            pieces = torch.empty(
                (len(clips), self.samples),
                dtype=torch.int16,
                pin_memory=self.device.type == "cuda",
            )
            for row, clip, start in zip(pieces.numpy(), clips, starts, strict=True):
                row[:] = self._waves[clip][start : start + self.samples]
            whole = pieces.to(self.device, non_blocking=True)
        return whole.float() / 32768


def fits(waves: Sequence[Wave], device: torch.device) -> bool:
    """Whether recordings can lie in the device's memory beside a network."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return sum(wave.nbytes for wave in waves) <= _PART_OF_FREE_MEMORY * free
