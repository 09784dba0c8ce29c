"""How far two machines agree in what they say of clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clip:
    """What one machine says of one recording."""

    score: float
    p_value: float
    anomalous: bool
    """Whether it is so in truth"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far what two machines say of the same recordings agrees."""

    rank: float
    """Rank correlation of the scores (Spearman), the mean over the sources"""
    score: float
    """Largest difference of a score, as a share of the spread (standard deviation)"""
    p_value: float
    """Largest difference of a p-value"""
    p_value_mean: float
    """Mean difference of a p-value"""
    auc: tuple[float, float]
    """Area under the ROC curve of each machine, the mean over the sources"""


def agreement(
    ours: Mapping[str, Sequence[Clip]], theirs: Mapping[str, Sequence[Clip]]
) -> Agreement:
    """Compare what was said of the same clips, by source."""
    ranks, shares, steps, aucs = [], [], [], []
    for source, clips in ours.items():
        others = theirs[source]
        a = np.array([clip.score for clip in clips])
        b = np.array([clip.score for clip in others])
        truth = np.array([clip.anomalous for clip in clips])
        ranks.append(spearman(a, b))
        shares.append(float(np.abs(a - b).max() / a.std()))
        p = np.array([clip.p_value for clip in clips])
        q = np.array([clip.p_value for clip in others])
        steps.extend(np.abs(p - q))
        aucs.append((auc(truth, a), auc(truth, b)))
    first, second = np.array(aucs).mean(axis=0)
    return Agreement(
        rank=float(np.mean(ranks)),
        score=max(shares),
        p_value=float(np.max(steps)),
        p_value_mean=float(np.mean(steps)),
        auc=(float(first), float(second)),
    )


def spearman(a: Values, b: Values) -> float:
    """Rank correlation; equal values share their mean rank."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def ranks(values: Values) -> Values:
    """Mean rank of each value, from 0."""
    below = (values[:, None] > values).sum(axis=1)
    alike = (values[:, None] == values).sum(axis=1)
    return np.asarray(below + (alike - 1) / 2)


def auc(truth: NDArray[np.bool_], scores: Values) -> float:
    """Share of pairs of an anomalous and a normal clip in the right order."""
    pairs = scores[truth][:, None] - scores[~truth]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())
