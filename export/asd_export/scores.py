"""Score held-out sound, and compare two ways to score it: order and AUC."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.pooling import Pool, PoolingSpec

Array = NDArray[np.float32]
Scores = NDArray[np.float64]
Window = NDArray[np.intp]
"""Places of a window's units among all"""


def windows(clips: NDArray[np.int64]) -> list[Window]:
    """Cut clips into windows of half their units, each a unit after the last.

    Whole clips are too few to tell a correlation of 0.99 from one of 0.98: 40
    clips of 10 units make 240 windows.

    Parameters
    ----------
    clips : array, shape ``(n,)``
        Clip that each unit belongs to.
    """
    found = []
    for clip in np.unique(clips):
        places = np.flatnonzero(clips == clip)
        length = (len(places) + 1) // 2
        starts = range(len(places) - length + 1)
        found += [places[start : start + length] for start in starts]
    return found


def window_scores(
    bank: Array,
    queries: Array,
    clips: NDArray[np.int64],
    normal: NDArray[np.bool_],
    pooling: PoolingSpec,
) -> Scores:
    """Distance of each window to the nearest in a bank of normal sound.

    Parameters
    ----------
    bank : array, shape ``(m, size)``
        Embeddings of calibration units, each a window of its own.
    queries : array, shape ``(n, size)``
        Embeddings of held-out units.
    clips : array, shape ``(n,)``
        Clip that each held-out unit belongs to.
    normal : array, shape ``(n,)``
        Whether it is of a normal clip.
    pooling
        How a window is made of units. Where it asks for a deviation, which single
        units do not have, the bank is of the normal windows of the other clips.

    Returns
    -------
    array, shape ``(windows,)``
        In the order of `windows`.
    """
    cut = windows(clips)
    asked = np.stack([_pooled(queries[places], pooling) for places in cut])
    if pooling.kind == "mean":
        single = np.stack([_pooled(unit[None], pooling) for unit in bank])
        detector = KnnBank().fit(single)
        return np.array([detector.score(vector) for vector in asked])
    return np.array(list(_by_others(asked, clips, normal, cut)))


def _by_others(
    asked: Array,
    clips: NDArray[np.int64],
    normal: NDArray[np.bool_],
    cut: Sequence[Window],
) -> Iterator[float]:
    owner = np.array([clips[places[0]] for places in cut])
    usable = np.array([normal[places[0]] for places in cut])
    for clip in dict.fromkeys(owner.tolist()):
        others = asked[usable & (owner != clip)]
        detector = KnnBank().fit(others) if len(others) else None
        for vector in asked[owner == clip]:
            yield detector.score(vector) if detector else 0.0


def _pooled(embeddings: Array, spec: PoolingSpec) -> Array:
    own = spec.model_copy(update={"units": len(embeddings)})
    pool = Pool(own, embeddings.shape[1])
    for embedding in embeddings:
        pool.push(embedding)
    return pool.vector()


def rank_correlation(a: Scores, b: Scores) -> float:
    """Spearman's rank correlation; ties share their mean rank, NaN if all tie."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def auc(scores: Scores, anomalous: NDArray[np.bool_]) -> float | None:
    """Part of the pairs of an anomalous and a normal window in the right order.

    Ties count half; None if either kind is missing.
    """
    many = int(anomalous.sum())
    others = len(scores) - many
    if not many or not others:
        return None
    total = float(_ranks(scores)[anomalous].sum())
    return (total - many * (many + 1) / 2) / (many * others)


def _ranks(values: Scores) -> Scores:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks: Scores = mean_ranks[inverse]
    return ranks
