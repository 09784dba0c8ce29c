"""Which frequencies of a window differ from the nearest normal sound."""

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.decision import BandDelta, Spectrum

GROUPS = 24
"""Bands that the front end's are gathered into: about as many as are heard apart"""


class BandGroups:
    """Gathers the bands of a front end into fewer, narrow at low frequency."""

    def __init__(
        self,
        edges_hz: NDArray[np.float32],
        mean_db: tuple[float, ...],
        std_db: tuple[float, ...],
        groups: int = GROUPS,
    ) -> None:
        """Plan at most `groups` groups of bands with edges of shape ``(bands, 2)``."""
        centre = edges_hz.mean(axis=1)
        # Linear to 500 Hz and logarithmic above, as hearing is.
        warped = np.log1p(centre / 500)
        group = (
            (warped - warped[0]) / (warped[-1] - warped[0]) * (groups - 1e-3)
        ).astype(int)
        self._first = np.flatnonzero(np.diff(group, prepend=-1))
        last = np.append(self._first[1:], len(centre)) - 1
        self._count = (last - self._first + 1).astype(np.float32)
        self._lo_hz = tuple(round(float(hz), 1) for hz in edges_hz[self._first, 0])
        self._hi_hz = tuple(round(float(hz), 1) for hz in edges_hz[last, 1])
        bands = len(centre)
        self._mean = np.array(mean_db or np.zeros(bands), np.float32)
        self._std = np.array(std_db or np.ones(bands), np.float32)

    def __len__(self) -> int:
        return len(self._first)

    def levels(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean level of each group in a unit, decibel, shape ``(groups,)``.

        Parameters
        ----------
        values : array, shape ``(bands, frames)``
            Normalised decibel, as the front end gives them.
        """
        # As a product: five times as fast as `mean` over so few frames.
        frames = values.shape[1]
        mean = values @ np.full(frames, 1 / frames, np.float32)
        level = mean * self._std + self._mean
        sums: NDArray[np.float32] = np.add.reduceat(level, self._first)
        return sums / self._count

    def statistics(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean and deviation of each group's level over the frames of a unit.

        Parameters
        ----------
        values : array, shape ``(bands, frames)``
            Normalised decibel, as the front end gives them.

        Returns
        -------
        array, shape ``(2 * groups,)``
            Decibel: the means of all groups, then their standard deviations.
        """
        level = values * self._std[:, None] + self._mean[:, None]
        groups = np.add.reduceat(level, self._first) / self._count[:, None]
        return np.concatenate([groups.mean(axis=1), groups.std(axis=1)])

    def spectrum(self, levels: NDArray[np.float32]) -> Spectrum:
        """Give levels of shape ``(groups,)``, decibel, with the edges of the groups."""
        level_db = tuple(np.round(levels.astype(np.float64), 1).tolist())
        return Spectrum(self._lo_hz, self._hi_hz, level_db)

    def differences(
        self, window: NDArray[np.float32], normal: NDArray[np.float32], most: int = 3
    ) -> tuple[BandDelta, ...]:
        """The groups that differ most, both arrays of shape ``(groups,)``, decibel."""
        delta = window - normal
        order = np.argsort(-np.abs(delta))[:most]
        return tuple(
            BandDelta(self._lo_hz[i], self._hi_hz[i], round(float(delta[i]), 1))
            for i in order
        )
