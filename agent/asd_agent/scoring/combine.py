"""Several members' p-values as one statistic, and its calibration.

The p-values of several members do not follow a known law together: the members
hear the same sound. So the statistic is calibrated as a score is, by the same
statistic of the held-out windows, and needs no correction for their number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.calibration import Calibration, Calibrations

Combine = Literal["min_p", "fisher"]
"""`min_p`: the smallest p-value, which one member that is sure decides. `fisher`: the
product of all (Fisher, "Statistical methods for research workers", 1932, section
21.1), to which members that are half sure add up"""

LEAST_P = 1e-300
"""A smaller p-value counts as this"""
TAIL = math.log10(math.e)
"""Scale of ``-log10 p`` where p is uniform, as p-values of normal windows are"""

Wide = NDArray[np.float64]


def statistic(p_values: Sequence[float], combine: Combine) -> float:
    """Combine p-values of one window; higher is more anomalous, 0 the least."""
    logs = [-math.log10(max(p, LEAST_P)) for p in p_values]
    # max: of p = 1 the logarithm is a zero with a sign.
    return max(0.0, max(logs) if combine == "min_p" else sum(logs))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Scores of normal windows by one member."""

    scores: NDArray[np.floating]
    """Shape ``(windows, units)``, NaN where not known"""
    floor: float
    """Smallest scale of their tail"""


def joint(members: Sequence[HeldOut], combine: Combine) -> Calibrations:
    """Calibrate the statistic of several members.

    Each held-out window is judged as one that is new: by the other windows.

    Parameters
    ----------
    members
        Held-out scores of each; a row is the same window in all.
    combine
        How p-values become one statistic.

    Raises
    ------
    ValueError
        Less than two windows of one unit are known to all members.
    """
    windows, units = members[0].scores.shape
    found = np.full((windows, units), np.nan)
    for column in range(units):
        p_values = [_left_out(m.scores[:, column], m.floor) for m in members]
        for row, of_window in enumerate(zip(*p_values, strict=True)):
            if np.isfinite(of_window).all():
                found[row, column] = statistic(of_window, combine)
    return Calibrations(found, TAIL, most=largest_scale(len(members), combine))


def largest_scale(members: int, combine: Combine) -> float:
    """Largest scale that the tail of the statistic can have, its smallest is `TAIL`.

    Of uniform p-values the least falls off as each does, however they depend on each
    other. Their product falls off no slower than with members that all say the same;
    its own windows tell how much of that is so.
    """
    return TAIL if combine == "min_p" else TAIL * members


def _left_out(column: NDArray[np.floating], floor: float) -> Wide:
    """The p-value of each score among the others, shape ``(n,)``; NaN stays NaN."""
    p_values = np.full(len(column), np.nan)
    known = np.flatnonzero(np.isfinite(column))
    scores = column[known].astype(np.float64)
    rising = np.sort(scores)
    n = len(rising)
    # Itself is among those that are at least as high: the one that is added.
    p_values[known] = (n - np.searchsorted(rising, scores, side="left")) / max(n, 1)
    if n > 2 and rising[-1] > rising[-2]:
        top = known[int(scores.argmax())]
        p_values[top] = Calibration(floor).fit(rising[:-1]).p_value(float(rising[-1]))
    return p_values
