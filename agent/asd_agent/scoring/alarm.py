"""From p-values to an alarm: k of n windows, with hysteresis and a budget."""

import math
from collections import deque
from dataclasses import dataclass

WEEK_S = 7 * 24 * 3600.0
"""Seconds"""
OVERLAP = 2
"""Windows are counted twice per length of a window, so neighbours share half"""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """When a source is called anomalous, and when no longer."""

    raise_k: int
    raise_n: int
    """Raised when `raise_k` of the last `raise_n` windows are hits"""
    clear_k: int
    clear_n: int
    """Cleared when at most `clear_k` of the last `clear_n` are"""

    def alarms_per_week(self, p: float, step_s: float) -> float:
        """False alarms a week if a normal window is a hit with probability `p`.

        Of windows that overlap by half every second one is independent, so k
        hits in n hold at least ``ceil(k / 2)`` in one of two rows of
        ``ceil(n / 2)`` independent windows: an upper bound by Boole's
        inequality. It takes the machine's windows as exchangeable.

        Parameters
        ----------
        p : float
        step_s : float
            Seconds from one counted window to the next.
        """
        n = math.ceil(self.raise_n / OVERLAP)
        k = math.ceil(self.raise_k / OVERLAP)
        tail = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
        return min(1.0, OVERLAP * tail) * WEEK_S / step_s

    def alpha(self, per_week: float, step_s: float) -> float:
        """Largest p-value of a hit that keeps to `per_week` false alarms."""
        low, high = 1e-12, 0.5
        for _ in range(60):
            middle = math.sqrt(low * high)
            if self.alarms_per_week(middle, step_s) > per_week:
                high = middle
            else:
                low = middle
        return low


class Alarm:
    """Counts hits. `on` says whether the alarm is raised."""

    def __init__(self, rule: AlarmRule) -> None:
        self._rule = rule
        self._hits: deque[bool] = deque(maxlen=max(rule.raise_n, rule.clear_n))
        self.on = False

    def update(self, hit: bool) -> bool:
        """Count one window; return whether the alarm is raised now."""
        self._hits.append(hit)
        hits = list(self._hits)
        rule = self._rule
        if not self.on:
            self.on = sum(hits[-rule.raise_n :]) >= rule.raise_k
        elif len(hits) >= rule.clear_n:
            self.on = sum(hits[-rule.clear_n :]) > rule.clear_k
        return self.on
