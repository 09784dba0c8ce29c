"""k-means: a bank in few rows, the same each time."""

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.vectors import product

ROUNDS = 100
"""Most rounds; usually far fewer change anything"""
SEED = 0
"""Of the first centroids: the same bank gives the same centroids"""

Rows = NDArray[np.float32]


def k_means(rows: Rows, count: int) -> Rows:
    """Centroids of `rows` by Lloyd's rounds from a k-means++ start.

    Arthur, Vassilvitskii, "k-means++", SODA 2007. A centroid is the plain mean
    of its rows: of rows on the unit sphere it lies within.

    Parameters
    ----------
    rows : array, shape ``(n, size)``
    count
        Centroids wanted; fewer come of fewer distinct rows.

    Returns
    -------
    array, shape ``(at most count, size)``
    """
    centroids = _spread(rows, count)
    assigned = _assign(rows, centroids)
    for _ in range(ROUNDS):
        centroids = _means(rows, assigned, centroids)
        again = _assign(rows, centroids)
        if np.array_equal(again, assigned):
            break
        assigned = again
    return centroids


def _spread(rows: Rows, count: int) -> Rows:
    """Rows to start from, each drawn by its squared distance to those before."""
    rng = np.random.default_rng(SEED)
    chosen = [int(rng.integers(len(rows)))]
    far = _squares(rows, rows[chosen[0]])
    while len(chosen) < count and far.max() > 0:
        total = np.cumsum(far)
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], "right")))
        far = np.minimum(far, _squares(rows, rows[chosen[-1]]))
    return rows[chosen]


def _squares(rows: Rows, row: Rows) -> NDArray[np.float64]:
    apart = rows - row
    found: NDArray[np.float64] = np.einsum("ij,ij->i", apart, apart, dtype=np.float64)
    return found


def _assign(rows: Rows, centroids: Rows) -> NDArray[np.intp]:
    """Place of the nearest centroid of each row, shape ``(n,)``."""
    half = 0.5 * np.einsum("ij,ij->i", centroids, centroids)
    found: NDArray[np.intp] = np.argmax(product(rows, centroids.T) - half, axis=1)
    return found


def _means(rows: Rows, assigned: NDArray[np.intp], centroids: Rows) -> Rows:
    """Mean row of each centroid; one without rows stays where it is."""
    order = np.argsort(assigned, kind="stable")
    used, first, count = np.unique(
        assigned[order], return_index=True, return_counts=True
    )
    sums = np.add.reduceat(rows[order].astype(np.float64), first)
    found = centroids.copy()
    found[used] = sums / count[:, None]
    return found
