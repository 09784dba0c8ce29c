"""Confidence intervals by drawing the test clips again (bootstrap, percentiles).

Efron and Tibshirani, "An introduction to the bootstrap", 1993, chapter 13. A
replicate is how often each clip was drawn; normal and anomalous clips of each
domain are drawn apart, so that their numbers stay.
"""

import numpy as np
from numpy.typing import NDArray

from asd_train.evaluate.metrics import Scores, Truth

REPLICATES = 1000
LEVEL = 0.95
"""Share of the replicates that an interval holds"""


def draw(
    strata: NDArray[np.int64], replicates: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw clips with replacement, as many of each stratum as it has.

    Parameters
    ----------
    strata : array, shape ``(clips,)``
        Number of the stratum of each clip.
    replicates : int
    rng : Generator

    Returns
    -------
    array, shape ``(replicates, clips)``
        How often each clip was drawn.
    """
    counts = np.zeros((replicates, len(strata)), np.int64)
    for stratum in np.unique(strata):
        own = np.flatnonzero(strata == stratum)
        chances = np.full(len(own), 1 / len(own))
        counts[:, own] = rng.multinomial(len(own), chances, size=replicates)
    return counts


def areas(
    truth: Truth, scores: Scores, counts: NDArray[np.int64], max_fpr: float = 1.0
) -> Scores:
    """Areas under the ROC curves of many replicates at once.

    Parameters
    ----------
    truth, scores : arrays, shape ``(clips,)``
    counts : array, shape ``(replicates, clips)``
        Each replicate needs a clip of both kinds.
    max_fpr : float
        False-positive rate up to which the area counts; below 1 it is
        standardised so that chance is 0.5.

    Returns
    -------
    array, shape ``(replicates,)``
    """
    order = np.argsort(-scores, kind="stable")
    # Clips of the same score are one step of the curve.
    last = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    drawn = counts[:, order]
    hits = np.cumsum(drawn * truth[order], axis=1)[:, last]
    alarms = np.cumsum(drawn * ~truth[order], axis=1)[:, last]
    tpr = _from_zero(hits / hits[:, -1:])
    fpr = _from_zero(alarms / alarms[:, -1:])
    width = np.diff(fpr, axis=1)
    inside = np.clip(max_fpr - fpr[:, :-1], 0, width)
    rise = np.divide(inside, width, out=np.zeros_like(width), where=width > 0)
    height = tpr[:, :-1] + rise * np.diff(tpr, axis=1) / 2
    area: Scores = (inside * height).sum(axis=1)
    if max_fpr == 1:
        return area
    chance = max_fpr**2 / 2
    standard: Scores = (1 + (area - chance) / (max_fpr - chance)) / 2
    return standard


def _from_zero(curve: Scores) -> Scores:
    return np.concatenate([np.zeros((len(curve), 1)), curve], axis=1)


def interval(replicates: Scores) -> tuple[float, float]:
    """Low and high end that hold 95 % of the replicates, shape ``(replicates,)``."""
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    low, high = np.quantile(replicates, ends)
    return float(low), float(high)
