"""How the values of one tensor are spread, and the ranges of int8 that follow."""

import math

import numpy as np
from numpy.typing import NDArray

BINS = 8192
"""Bins over the widest range so far; of values on one side of zero at least a
quarter of them are used, eight for each step of int8"""
MOST_VALUES = 2**16
"""Values of one tensor of one unit that are counted; the extremes are of all"""
LEVELS = 256
"""Steps of int8"""
CANDIDATES = 96
"""Ranges that the entropy method compares"""
SMALLEST = 1 / 32
"""Smallest of them, as part of the widest"""

LEAST = -60
"""Power of two below which values are as good as zero"""

Range = tuple[float, float]
"""Lowest and highest value that int8 can tell from the next"""
Array = NDArray[np.float64]


class Histogram:
    """Counts of values in even bins from -limit to limit, which grows by doubling."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.limit = 0.0
        """A power of two; 0 before there is a value that is not zero"""
        self.low, self.high = math.inf, -math.inf
        """Extremes of all values"""
        self.zeros = 0
        """Values that are zero, which int8 holds exactly: what a ReLU cuts off"""

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the values of one tensor, of any shape."""
        flat = values.ravel()
        low, high = float(flat.min()), float(flat.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(-low, high))
        # Odd: sides of maps are even, so that every column has its turn.
        stride = len(flat) // MOST_VALUES | 1
        taken = flat[::stride]
        self.zeros += len(taken) - int(np.count_nonzero(taken))
        if not self.limit:
            self.counts[BINS // 2] += len(taken)
            return
        scaled = (taken + self.limit) * (BINS / (2 * self.limit))
        places = np.minimum(scaled.astype(np.int32), BINS - 1)
        self.counts += np.bincount(places, minlength=BINS)

    def _widen(self, most: float) -> None:
        if not self.limit and most > 0:
            self.limit = 2.0 ** max(math.ceil(math.log2(most)), LEAST)
        while most > self.limit:
            inner = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.pad(inner, BINS // 4)
            self.limit *= 2

    def edge(self, place: float) -> float:
        """Value where a bin begins."""
        return (2 * place / BINS - 1) * self.limit

    def extremes(self) -> Range:
        """Range of all values."""
        return self.low, self.high

    def percentile(self, percent: float) -> Range:
        """Range of the middle values, `percent` of them; as much is cut at each end."""
        tail = (100 - percent) / 200 * self.counts.sum()
        below, above = np.cumsum(self.counts), np.cumsum(self.counts[::-1])
        low = int(np.searchsorted(below, tail, side="right"))
        high = BINS - int(np.searchsorted(above, tail, side="right"))
        return self._within(self.edge(low), self.edge(high))

    def entropy(self) -> Range:
        """Range whose steps of int8 lose the least of what the values tell.

        The smallest divergence (Kullback and Leibler) of the quantised distribution
        from that of the values, what is cut off counted at its ends. Method: Migacz,
        "8-bit inference with TensorRT", GTC 2017; here the steps lie between the
        ends of the values, not around zero, since int8 has a zero point.
        """
        counts = self.counts.astype(np.float64)
        counts[BINS // 2] -= self.zeros
        if not counts.any():
            return self.extremes()
        found = [
            (_divergence(counts, low, high), -part, low, high)
            for part, low, high in _candidates(counts)
        ]
        _, _, low, high = min(found)
        return self._within(self.edge(low), self.edge(high))

    def _within(self, low: float, high: float) -> Range:
        low, high = max(low, self.low), min(high, self.high)
        return (low, high) if low <= high else self.extremes()  # all in one bin


def _candidates(counts: Array) -> list[tuple[float, int, int]]:
    """Part of the widest range, and its first and last bin."""
    seen = np.flatnonzero(counts)
    first, last = int(seen[0]), int(seen[-1]) + 1
    middle = BINS // 2
    half = max(middle - first, last - middle)
    reach = np.unique(np.ceil(np.geomspace(SMALLEST, 1, CANDIDATES) * half))
    found = []
    for r in reach.astype(int).tolist():
        low, high = max(first, middle - r), min(last, middle + r)
        if high > low:
            found.append((r / half, low, high))
    return found


def _divergence(counts: Array, low: int, high: int) -> float:
    """What is lost if bins from `low` to `high` share the steps of int8."""
    kept = counts[low:high]
    real = kept.copy()
    real[0] += counts[:low].sum()
    real[-1] += counts[high:].sum()
    starts = np.unique(np.linspace(0, len(kept), LEVELS, endpoint=False).astype(int))
    widths = np.diff(np.append(starts, len(kept)))
    filled = np.add.reduceat((kept > 0).astype(np.float64), starts)
    level = np.add.reduceat(kept, starts) / np.maximum(filled, 1)
    coded = np.where(kept > 0, np.repeat(level, widths), 0)
    # An end that holds only what was cut off has no step of its own.
    coded[[0, -1]] = np.maximum(coded[[0, -1]], np.minimum(real[[0, -1]], 1))
    real, coded = real / real.sum(), coded / coded.sum()
    there = real > 0
    return float((real[there] * np.log(real[there] / coded[there])).sum())
