"""Merge the unit vectors of a window into one vector, incrementally.

Components are rounded to a grid on which sums and sums of squares of up to 512 of
them are exact in float64. A running sum is therefore the same number as a sum made
afresh: a window scores the same wherever in a stream it lies.

A component has 22 bits, so its square has 44, and the sum of 512 = 2^9 squares 53,
which is what a float64 holds. Components of a vector of length 1 are at most 1 and
lie on multiples of 2^-22 (2e-7, far below what int8 leaves). Vectors that keep their
length, such as levels in decibel, lie on multiples of 2^-14 (6e-5) and are at most
2^8 = 256; what is beyond is taken as that.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from asd_agent.scoring.vectors import TINY

GRID = 2.0**22
"""Steps per one of a vector of length 1"""
PLAIN_GRID = 2.0**14
"""Steps per one of a vector that keeps its length"""
PLAIN_MOST = 2.0**8
"""Largest component of a vector that keeps its length"""


class PoolingSpec(BaseModel):
    """How a window is made of units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mean", "std", "both"] = "mean"
    """Morita et al. 2021, section 2.3: mean, or std for impulsive machines"""
    units: int = Field(18, ge=1, le=512)
    """Units in a window: 18 are 10 s with the default front end"""
    unit_norm: bool = True
    """Whether each unit's vector is brought to length 1 first, as embeddings are"""


class Pool:
    """The last units of one source, pooled."""

    def __init__(self, spec: PoolingSpec, size: int) -> None:
        self._spec = spec
        self._ring: NDArray[np.float64] = np.zeros((spec.units, size))
        self._sum: NDArray[np.float64] = np.zeros(size)
        self._squares: NDArray[np.float64] = np.zeros(size)
        self._next = 0
        self.count = 0
        """Units in the window now"""

    @property
    def full(self) -> bool:
        """Whether a whole window has been heard."""
        return self.count == self._spec.units

    def reset(self) -> None:
        """Forget all units, as after a gap."""
        self._ring[:] = 0
        self._sum[:] = 0
        self._squares[:] = 0
        self._next = self.count = 0

    def push(self, vector: NDArray[np.float32]) -> None:
        """Add one unit's vector, shape ``(size,)``; the oldest leaves."""
        # float64 from here on: the square of a float32 is rounded when it comes
        # and would not be what is taken off when it goes.
        if self._spec.unit_norm:
            norm = max(float(np.linalg.norm(vector)), TINY)
            unit = np.round(vector / norm * GRID).astype(np.float64) / GRID
        else:
            wide = np.clip(vector.astype(np.float64), -PLAIN_MOST, PLAIN_MOST)
            unit = np.round(wide * PLAIN_GRID) / PLAIN_GRID
        oldest = self._ring[self._next]
        self._sum += unit - oldest
        self._squares += unit * unit - oldest * oldest
        oldest[:] = unit
        self._next = (self._next + 1) % self._spec.units
        self.count = min(self.count + 1, self._spec.units)

    def vector(self) -> NDArray[np.float32]:
        """Pool the units heard so far.

        Returns
        -------
        array, shape ``(size,)``, or ``(2 * size,)`` for ``both``
        """
        mean = self._sum / self.count
        if self._spec.kind == "mean":
            return mean.astype(np.float32)
        std = np.sqrt(np.maximum(self._squares / self.count - mean * mean, 0))
        if self._spec.kind == "std":
            return std.astype(np.float32)
        return np.concatenate([mean, std]).astype(np.float32)


def pooled_size(spec: PoolingSpec, size: int) -> int:
    """Values in a pooled vector of vectors of `size` values."""
    return 2 * size if spec.kind == "both" else size
