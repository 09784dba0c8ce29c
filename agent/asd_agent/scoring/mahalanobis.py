"""Mahalanobis distance with a covariance that is shrunk as far as data is scarce."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.vectors import checked

FLOOR_OF_SPREAD = 1e-3
"""Smallest deviation of a column, as a share of the columns' common one"""
FLOOR_OF_SIZE = 1e-4
"""The same, as a share of the values themselves (of levels of 60 dB 0.006 dB), for
sound that repeats exactly"""
MIN_SHRINKAGE = 1e-6
"""A covariance of rows in two places only has a shrinkage of 0 and no inverse"""
MIN_ROWS = 3
"""Of fewer rows no column can be said to go along with another"""
BLOCK = 512
"""Rows that are held in float64 at a time"""

Array = NDArray[np.float32]
Wide = NDArray[np.float64]


class Mahalanobis:
    """Distance from the mean of the normal vectors, in their own scatter.

    Columns are standardised first, so that the shrinkage towards columns that are
    alike and independent (Ledoit, Wolf, "A well-conditioned estimator for
    large-dimensional covariance matrices", J. Multivariate Analysis 88, 2004)
    does not depend on their units. Windows that overlap are less than a sample of
    as many: the shrinkage is that of `independent` windows.
    """

    def __init__(self) -> None:
        self._rows: Array = np.zeros((0, 0), np.float32)
        self._mean: Wide = np.zeros(0)
        self._whiten: Wide = np.zeros((0, 0))

    def fit(self, vectors: Array, independent: int | None = None) -> "Mahalanobis":
        """Learn mean and covariance of normal vectors, shape ``(n, size)``, n >= 1.

        Parameters
        ----------
        vectors : array, shape ``(n, size)``
        independent
            Windows among them that do not overlap; None: all.
        """
        self._rows = rows = checked(vectors)
        n = len(rows)
        self._mean = rows.mean(axis=0, dtype=np.float64)
        scatter: Wide = np.zeros((rows.shape[1],) * 2)
        for block in self._blocks():
            scatter += block.T @ block / n
        variance = scatter.diagonal()
        size = float(np.sqrt((self._mean**2 + variance).mean()))
        deviation = _floored(np.sqrt(variance), size)
        covariance = scatter / np.outer(deviation, deviation)
        fourth = sum(_fourth(b / deviation) for b in self._blocks()) / n
        shrunk = _shrunk(covariance, fourth, n, min(independent or n, n))
        # The lower factor's inverse turns a difference into independent parts.
        factor = np.linalg.inv(np.linalg.cholesky(shrunk))
        self._whiten = factor / deviation
        return self

    def score(self, vector: Array) -> float:
        """Score one vector, shape ``(size,)``: its distance in deviations."""
        return float(np.linalg.norm(self._whiten @ (vector - self._mean)))

    def nearest(self, vector: Array) -> tuple[int, float]:
        """Row of the nearest normal vector, and the distance to it in deviations."""
        place = vector - self._mean
        distances = np.concatenate(
            [
                np.linalg.norm((b - place) @ self._whiten.T, axis=1)
                for b in self._blocks()
            ]
        )
        row = int(distances.argmin())
        return row, float(distances[row])

    def _blocks(self) -> Iterator[Wide]:
        """Rows from their mean in float64: of a whole bank that would be 20 MB."""
        for start in range(0, len(self._rows), BLOCK):
            yield self._rows[start : start + BLOCK] - self._mean


def _fourth(rows: Wide) -> float:
    """Sum of the fourth powers of the lengths of rows."""
    lengths: Wide = np.einsum("ij,ij->i", rows, rows)
    return float((lengths * lengths).sum())


def _floored(deviation: Wide, size: float) -> Wide:
    """Deviations of columns, none so small that it makes rounding a difference."""
    common = float(np.sqrt((deviation * deviation).mean()))
    floor = max(FLOOR_OF_SPREAD * common, FLOOR_OF_SIZE * size)
    found: Wide = np.maximum(deviation, floor or 1.0)
    return found


def _shrunk(covariance: Wide, fourth: float, n: int, independent: int) -> Wide:
    """Covariance, shrunk, shape ``(size, size)``.

    `fourth` is the mean fourth power of the lengths of its `n` rows.
    """
    size = len(covariance)
    level = float(np.trace(covariance)) / size
    if n < MIN_ROWS or level == 0:
        return np.eye(size)
    owed = _shrinkage(covariance, fourth, level, independent)
    shrinkage = max(owed, MIN_SHRINKAGE)
    target: Wide = level * np.eye(size)
    return (1 - shrinkage) * covariance + shrinkage * target


def _shrinkage(
    covariance: Wide, fourth: float, level: float, independent: int
) -> float:
    """Share of what the covariance owes to chance: Ledoit and Wolf, section 3.

    The mean square error of the covariance, over its distance from one that is
    the same for all columns. Chance falls with the number of independent rows.
    """
    squared = float((covariance * covariance).sum())
    chance = (fourth - squared) / independent
    apart = squared - len(covariance) * level**2
    if apart <= 0 or chance <= 0:
        # All columns alike already; or rows that show no scatter of their own.
        return 1.0 if apart <= 0 else 0.0
    return min(1.0, chance / apart)
