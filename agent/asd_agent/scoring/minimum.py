"""Several detectors as one: the least of their scores, each on its own scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asd_agent.scoring.vectors import checked

if TYPE_CHECKING:
    from asd_agent.scoring.detector import Detector

FOLDS = 10
"""Parts of the bank that are scored by the rest; of fewer rows each by all others"""
MAX_ROWS = 1_000
"""Rows that score others; of a longer bank every second, third... row"""
MAX_SCORES = 250
"""Rows that are scored: enough for a deviation to a twentieth"""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Part:
    """One of the detectors."""

    make: Callable[[], "Detector"]
    """Makes it, not yet fitted"""
    floor: float
    """Smallest deviation that its scores are taken to have"""


class Minimum:
    """The least of several scores, each in deviations above its normal mean.

    Mean and deviation are those of the bank's own rows, a tenth of the bank scored
    by the rest of it. The parts are cut in the order of the bank: rows that overlap
    in time lie together, and seldom on both sides.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._fitted: list[tuple[Detector, float, float]] = []

    def fit(self, vectors: Array, independent: int | None = None) -> "Minimum":
        """Learn from normal vectors, shape ``(n, size)``, n >= 1."""
        rows = checked(vectors)
        self._fitted = []
        for part in self._parts:
            mean, deviation = _scale(part, rows, independent or len(rows))
            detector = part.make().fit(rows, independent)
            self._fitted.append((detector, mean, deviation))
        return self

    def score(self, vector: Array) -> float:
        """Score one vector, shape ``(size,)``: about 0 where it is as normal."""
        return min(self._scores(vector))

    def nearest(self, vector: Array) -> tuple[int, float]:
        """What the detector with the least score says."""
        least = int(np.argmin(self._scores(vector)))
        return self._fitted[least][0].nearest(vector)

    def _scores(self, vector: Array) -> list[float]:
        return [
            (detector.score(vector) - mean) / deviation
            for detector, mean, deviation in self._fitted
        ]


def _scale(part: Part, rows: Array, independent: int) -> tuple[float, float]:
    """Mean and deviation of the scores of rows that the rest of them gives."""
    some = rows[:: -(-len(rows) // MAX_ROWS)]
    n = len(some)
    if n == 1:
        return 0.0, 1.0
    scores = []
    every = -(-n // MAX_SCORES)
    for held in np.array_split(np.arange(n), min(FOLDS, n)):
        rest = np.delete(some, held, axis=0)
        share = max(1, round(independent * len(rest) / n))
        detector = part.make().fit(rest, min(share, len(rest)))
        scores += [detector.score(some[i]) for i in held if i % every == 0]
    return float(np.mean(scores)), max(float(np.std(scores)), part.floor)
