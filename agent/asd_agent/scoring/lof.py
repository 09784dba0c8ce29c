"""Local outlier factor: how much sparser a place is than its neighbours' places."""

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.vectors import TINY, checked, product

EPSILON = 1e-10
"""Added to a mean reach, as scikit-learn does: rows that repeat have none"""
SPARE = 16
"""Candidates beyond `k` that float32 finds and float64 chooses from"""
BLOCK = 256
"""Rows whose distances to all others are held at a time"""

Array = NDArray[np.float32]
Wide = NDArray[np.float64]
Places = NDArray[np.intp]


class Lof:
    """Local outlier factor of a new vector among normal ones; 1 is as normal.

    Breunig et al., "LOF: identifying density-based local outliers", SIGMOD 2000,
    for novelties: a new vector is compared with normal ones only. Distances are
    Euclidean between vectors of length 1, and so rank as cosine distances do.
    With fewer than ``k + 1`` normal vectors all others of them are neighbours; of
    a single one nothing is known but the distance to it, which is then the score.
    """

    def __init__(self, k: int = 4) -> None:
        self._most = k
        self._k = 0
        self._wide: Wide = np.zeros((0, 0))
        self._centre: Wide = np.zeros(0)
        self._shifted: Array = np.zeros((0, 0), np.float32)
        self._half: Array = np.zeros(0, np.float32)
        self._reach: Wide = np.zeros(0)
        self._density: Wide = np.zeros(0)

    def fit(self, vectors: Array, independent: int | None = None) -> "Lof":
        """Keep normal vectors, shape ``(n, size)``, n >= 1, and their densities."""
        rows = checked(vectors)
        wide = rows.astype(np.float64)
        self._wide = wide / np.maximum(np.linalg.norm(wide, axis=1), TINY)[:, None]
        # From their centre, rows that lie close together keep their digits in float32.
        self._centre = self._wide.mean(axis=0)
        self._shifted = (self._wide - self._centre).astype(np.float32)
        self._half = np.square(self._shifted).sum(axis=1) / 2
        self._k = min(self._most, len(rows) - 1)
        if self._k:
            blocks = [self._others(start) for start in range(0, len(rows), BLOCK)]
            near = np.concatenate([places for places, _ in blocks])
            distances = np.concatenate([found for _, found in blocks])
            self._reach = distances[:, -1]
            self._density = 1 / self._mean_reach(near, distances)
        return self

    def score(self, vector: Array) -> float:
        """Score one vector, shape ``(size,)``: about 1 where it is as normal."""
        near, distances = self._near(vector, max(self._k, 1))
        if self._k == 0:
            return float(distances[0, 0])
        reach = self._mean_reach(near, distances)
        return float(self._density[near[0]].mean() * reach[0])

    def nearest(self, vector: Array) -> tuple[int, float]:
        """Row of the nearest normal vector, and the distance to it, 0 to 2."""
        near, distances = self._near(vector, 1)
        return int(near[0, 0]), float(distances[0, 0])

    def _mean_reach(self, near: Places, distances: Wide) -> Wide:
        """Mean reachability distance from neighbours of shape ``(m, k)``."""
        reach: Wide = np.maximum(distances, self._reach[near]).mean(axis=1) + EPSILON
        return reach

    def _others(self, start: int) -> tuple[Places, Wide]:
        """The `k` nearest other rows of a block of rows."""
        block = self._shifted[start : start + BLOCK]
        similarity = product(block, self._shifted.T) - self._half
        own = np.arange(len(similarity))
        similarity[own, start + own] = -np.inf
        count = min(self._k + SPARE, len(self._wide) - 1)
        queries = self._wide[start : start + BLOCK]
        return self._choose(queries, similarity, count, self._k)

    def _near(self, vector: Array, k: int) -> tuple[Places, Wide]:
        wide = vector.astype(np.float64)
        wide = wide / max(float(np.linalg.norm(wide)), TINY)
        shifted = (wide - self._centre).astype(np.float32)
        similarity = product(self._shifted, shifted) - self._half
        count = min(k + SPARE, len(self._wide))
        return self._choose(wide[None], similarity[None], count, k)

    def _choose(
        self, queries: Wide, similarity: Array, count: int, k: int
    ) -> tuple[Places, Wide]:
        """The `k` nearest of the `count` most similar, nearest first.

        float32 leaves few digits of a distance; so the candidates' are computed anew
        from differences.
        """
        n = similarity.shape[1]
        found = np.argpartition(similarity, n - count, axis=1)[:, n - count :]
        apart = self._wide[found] - queries[:, None]
        distances = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        return (
            np.take_along_axis(found, order, axis=1),
            np.take_along_axis(distances, order, axis=1),
        )
