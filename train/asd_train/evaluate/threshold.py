"""Score above which a clip is called anomalous, from normal clips alone."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma  # type: ignore[import-untyped]  # it has no stubs

PERCENTILE = 0.9
"""Share of normal clips that are meant to stay below the threshold"""
MIN_SCORES = 3
"""Fewer normal scores are not fitted: their highest is the threshold"""
NEARLY = 1e-2
"""Share of their deviation by which scores count as 0"""


def gamma_threshold(scores: NDArray[np.float64]) -> float:
    """The 90th percentile of a gamma distribution fitted to normal scores.

    This is the rule of the challenge's baselines. The scores must be of clips that
    the detector has not learnt: of clips in its bank they are far too low. Where
    the baselines also fit the place at which the distribution begins, it is kept at 0
    here (or a deviation below the lowest score, if that is negative): with a free
    place the likelihood has no maximum, and of few scores the fit is arbitrary.

    Parameters
    ----------
    scores : array, shape ``(clips,)``, at least one
    """
    known = np.sort(scores[np.isfinite(scores)])
    if len(known) < MIN_SCORES or known[-1] - known[0] <= 1e-9 * abs(known[-1]):
        return float(known[-1])
    spread = float(known.std())
    begin = 0.0 if known[0] > -NEARLY * spread else float(known[0]) - spread
    # An exact 0 has no logarithm, and so no place in the fit.
    positive = np.maximum(known - begin, NEARLY * spread)
    shape, _, scale = gamma.fit(positive, floc=0)
    return begin + float(gamma.ppf(PERCENTILE, shape, scale=scale))
