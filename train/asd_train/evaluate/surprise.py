"""Scores of different detectors on one scale: how rare they are when all is well."""

import math

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.calibration import Calibration

NUDGE = 1e-3
"""Most that a score beyond the known ones is raised so as to keep the order"""
MIN_SPREAD = 1e-9
"""Least range that normal scores are taken to have"""
LEAST_P = 1e-300
"""A smaller p-value counts as this"""


class Surprise:
    """Turns scores into ``-log10 p`` without ties.

    The p-value is the agent's: the share of held-out normal scores that are as
    high, and beyond them the tail that it fits. Steps between two of them are made
    slopes, and where p stays the same it rises by up to 0.001: whoever is higher
    stays higher, and AUC is the same as that of the scores themselves.
    """

    def __init__(
        self, normal: NDArray[np.float64], calibration: Calibration | None = None
    ) -> None:
        """Learn from held-out normal scores, shape ``(n,)``, n >= 2.

        `calibration`, not yet fitted, says what is known of the tail.
        """
        self._calibration = (calibration or Calibration()).fit(normal)
        self._knots = np.unique(normal)
        self._values = np.array([self._log(score) for score in self._knots])
        self._spread = max(float(self._knots[-1] - self._knots[0]), MIN_SPREAD)

    def p_value(self, score: float) -> float:
        """Share of normal clips expected to score at least `score`."""
        return self._calibration.p_value(score)

    def __call__(self, score: float) -> float:
        """Surprise at a score: 1 where one normal clip in ten is as high."""
        low, high = float(self._knots[0]), float(self._knots[-1])
        if score < low:
            return float(self._values[0]) - self._nudge(low - score)
        if score > high:
            return self._log(score) + self._nudge(score - high)
        return float(np.interp(score, self._knots, self._values))

    def _log(self, score: float) -> float:
        return -math.log10(max(self.p_value(score), LEAST_P))

    def _nudge(self, beyond: float) -> float:
        return NUDGE * beyond / (beyond + self._spread)
