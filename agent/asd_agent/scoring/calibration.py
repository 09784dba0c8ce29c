"""From a score to a p-value, by what held-out normal windows scored.

Within the calibration scores the p-value is split-conformal: with n scores it
is never under ``1 / (n + 1)``, and no assumption but exchangeability is made
(Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", 2005).
Beyond the highest of them a generalised-Pareto tail goes on: an extrapolation,
and `Calibration.resolution` says where it begins.
"""

import math

import numpy as np
from numpy.typing import NDArray

MIN_TAIL = 10
"""Scores that the tail is fitted to, if there are as many"""
MIN_SHAPE_FIT = 30
"""Tail scores needed before their shape is estimated at all"""
COSINE_FLOOR = 1e-4
"""Smallest scale of the tail of cosine distances: int8 rounding alone gives
about this much, so a perfectly repeating sound must not make it zero"""
SCATTER_FLOOR = 1e-3
"""The same of scores that count in the scatter of the normal windows, where one is
as far as they lie from each other"""
EXPONENTIAL = 1e-6
"""Shape of a tail that falls off as an exponential does"""


class Calibration:
    """p-values from the scores of normal windows that the bank has not seen."""

    def __init__(
        self, floor: float = COSINE_FLOOR, *, most: float | None = None
    ) -> None:
        """State what is known of the tail before any score is.

        Parameters
        ----------
        floor
            Smallest scale of the tail, in units of the score.
        most
            Largest scale of a tail that is known to be exponential; None: not known.
        """
        self._floor = floor
        self._most = most
        self.scores: NDArray[np.float64] = np.zeros(0)
        """Calibration scores in rising order, shape ``(n,)``"""
        self._start = 0.0
        self._scale = floor
        self._shape = EXPONENTIAL
        self._tail = 0

    def fit(self, scores: NDArray[np.floating]) -> "Calibration":
        """Learn from scores of normal windows, shape ``(n,)``, n >= 2."""
        if len(scores) < 2:
            raise ValueError(f"expected at least 2 scores, got {len(scores)}")
        self.scores = np.sort(scores.astype(np.float64))
        n = len(scores)
        self._tail = min(n - 1, max(MIN_TAIL, n // 10))
        self._start = float(self.scores[n - self._tail - 1])
        excess = self.scores[n - self._tail :] - self._start
        if self._most is None:
            scale, self._shape = _fit_tail(excess)
        else:
            scale = min(self._most, float(excess.mean()))
        self._scale = max(self._floor, scale)
        return self

    @property
    def resolution(self) -> float:
        """Smallest p-value that the scores support without extrapolation."""
        return 1 / (len(self.scores) + 1)

    def p_value(self, score: float) -> float:
        """Share of normal windows expected to score at least `score`."""
        n = len(self.scores)
        at_least = n - int(np.searchsorted(self.scores, score, side="left"))
        if at_least:
            return (1 + at_least) / (n + 1)
        return min(self.resolution, self._tail_p(score))

    def _tail_p(self, score: float) -> float:
        z = (score - self._start) / self._scale
        weight: float = self._tail / (len(self.scores) + 1)
        return weight * math.pow(1 + self._shape * z, -1 / self._shape)

    def threshold(self, p: float) -> float:
        """Score above which the p-value is at most `p`, 0 < p < 1."""
        n = len(self.scores)
        above = min(n, math.floor(p * (n + 1) + 1e-9)) - 1
        if above >= 0:
            return float(self.scores[n - 1 - above])
        ratio = p * (n + 1) / self._tail
        z = (math.pow(ratio, -self._shape) - 1) / self._shape
        return max(float(self.scores[-1]), self._start + self._scale * z)


def _fit_tail(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and shape of a generalised Pareto tail, shape ``(m,)`` in rising order.

    The shape is the larger of two: probability-weighted moments (Hosking and
    Wallis, Technometrics 29, 1987), once there are enough scores; and 1/m,
    which is what not knowing the scale of an exponential tail amounts to (its
    predictive distribution is Pareto with that shape). A bounded tail is never
    fitted: it would call a sound impossible that was merely not heard yet.
    """
    m = len(excess)
    mean = float(excess.mean())
    shape = 1 / m
    if m >= MIN_SHAPE_FIT and mean > 0:
        weights = 1 - (np.arange(1, m + 1) - 0.35) / m
        moment = float((weights * excess).mean())
        if mean > 2 * moment > 0:
            shape = max(shape, min(0.9, 2 - mean / (mean - 2 * moment)))
    return mean * (1 - shape) if m >= MIN_SHAPE_FIT else mean, shape


class Calibrations:
    """A calibration for each number of units that a window can have.

    The fewer units are pooled, the more their score scatters: a window that is not
    whole, at the start or after a gap, is judged by normal windows as short as it.
    """

    def __init__(
        self,
        scores: NDArray[np.floating],
        floor: float = COSINE_FLOOR,
        *,
        most: float | None = None,
    ) -> None:
        """Learn from scores of shape ``(windows, units)``.

        Column ``j`` holds scores of the first ``j + 1`` units of normal windows,
        NaN where a window has fewer or was not asked. A length with less than two
        scores is judged as the one below it. `floor` and `most` are those of
        `Calibration`.
        """
        self._of: list[Calibration] = []
        for column in scores.T:
            known = column[np.isfinite(column)]
            if len(known) >= 2:
                made = Calibration(floor, most=most)
                self._of.append(made.fit(known))
            elif self._of:
                self._of.append(self._of[-1])
            else:
                raise ValueError("expected at least 2 scores of windows of one unit")

    def of(self, units: int) -> Calibration:
        """The calibration of windows of so many units, from 1."""
        return self._of[units - 1]
