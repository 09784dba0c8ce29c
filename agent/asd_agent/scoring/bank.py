"""Memory bank with k-nearest-neighbour scores by cosine distance."""

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.kmeans import k_means
from asd_agent.scoring.vectors import TINY, checked, norms, product

MIN_RADIUS = 1e-4
"""Smallest distance to its neighbours that a row is taken to have: int8 rounding
alone gives about this much, so rows that repeat must not make it zero"""
BLOCK = 512
"""Rows whose distances to all others are held at a time"""

Array = NDArray[np.float32]


class KnnBank:
    """Mean cosine distance to the `k` nearest normal vectors.

    Morita et al. 2021, section 2.3, with k = 1. A plain matrix product: up to
    about 10,000 vectors nothing else is faster (docs/performance.md).

    With `density` each distance is divided by the mean distance of that normal
    vector to so many of its own neighbours, which makes sparse and dense parts
    of the bank alike (Wilkinghoff et al., "Keeping the balance: anomaly score
    calculation for domain generalization", ICASSP 2025). With `centroids` the
    bank is reduced by k-means first; a centroid is a mean of unit vectors and
    stays as short as it is, so that the distance to a scattered group is larger.
    """

    def __init__(self, k: int = 1, density: int = 0, centroids: int = 0) -> None:
        self._k = k
        self._density = density
        self._centroids = centroids
        self.vectors: Array = np.zeros((0, 0), np.float32)
        """Normal vectors as given, shape ``(n, size)``"""
        self._unit = self.vectors
        self._rows = self.vectors
        self._radius: Array | None = None
        self._similarity: Array = np.zeros(0, np.float32)

    def fit(self, vectors: Array, independent: int | None = None) -> "KnnBank":
        """Keep normal vectors, shape ``(n, size)``, n >= 1."""
        self.vectors = checked(vectors)
        self._unit = self.vectors / norms(self.vectors)[:, None]
        self._rows = self._unit
        if 0 < self._centroids < len(vectors):
            self._rows = k_means(self._unit, self._centroids)
        self._similarity = np.zeros(len(self._rows), np.float32)
        self._radius = _radii(self._rows, self._density) if self._density else None
        return self

    def score(self, vector: Array) -> float:
        """Score one vector, shape ``(size,)``: 0 (as normal) to 2; 0 up by density."""
        similarity = product(self._rows, _direction(vector), self._similarity)
        k = min(self._k, len(similarity))
        if self._radius is not None:
            ratio = (1 - similarity) / self._radius
            return max(float(np.partition(ratio, k - 1)[:k].mean()), 0.0)
        if k == 1:
            best = float(similarity.max())
        else:
            best = float(np.partition(similarity, -k)[-k:].mean())
        # In this order what is not a number stays so, and does not become normal.
        return max(1.0 - best, 0.0)

    def nearest(self, vector: Array) -> tuple[int, float]:
        """Row of the nearest normal vector as given, and its cosine distance."""
        similarity = product(self._unit, _direction(vector))
        row = int(similarity.argmax())
        return row, max(1.0 - float(similarity[row]), 0.0)


def _direction(vector: Array) -> Array:
    return vector / np.float32(max(float(np.linalg.norm(vector)), TINY))


def _radii(rows: Array, count: int) -> Array:
    """Mean distance of each row to its `count` nearest others, shape ``(n,)``."""
    n = len(rows)
    count = min(count, n - 1)
    if count == 0:
        return np.ones(1, np.float32)
    found = np.zeros(n, np.float32)
    for start in range(0, n, BLOCK):
        similarity = product(rows[start : start + BLOCK], rows.T)
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        nearest = np.partition(similarity, n - count, axis=1)[:, n - count :]
        found[start : start + BLOCK] = 1 - nearest.mean(axis=1)
    return np.maximum(found, np.float32(MIN_RADIUS))
