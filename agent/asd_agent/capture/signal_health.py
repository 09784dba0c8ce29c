"""Whether samples can be sound of a machine at all: no signal, or clipped."""

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np

from asd_agent.capture.chunk import Samples

QUIET_DBFS = -90.0
"""Below this a microphone is deaf: the rounding noise of 16 bits alone is at
-101, and faint recordings of real machines are above -70"""
RAIL = 0.99
"""Magnitude from where a sample counts as at full scale"""
CLIPPED_SHARE = 0.01
"""More samples than this share at full scale are clipped"""
FLOOR_DBFS = -200.0
"""Level that stands for digital silence, which has no logarithm"""


class Verdict(str, Enum):
    """What the samples are good for."""

    OK = "ok"
    NO_SIGNAL = "no_signal"
    CLIPPED = "clipped"


@dataclass(frozen=True, slots=True)
class SignalHealth:
    """Level and faults of some samples."""

    verdict: Verdict
    level_dbfs: float
    """Root mean square around the mean, decibel to full scale, -200 or more"""
    dc: float
    """Mean, share of full scale; reported, never a fault by itself"""
    clipped_share: float
    """Share of the samples at full scale"""


def assess(samples: Samples, clipped: bool = False) -> SignalHealth:
    """Judge the samples of one unit or hop.

    A stuck value, digital silence included, has no level around its mean and so
    is `no_signal`.

    Parameters
    ----------
    samples : array, shape ``(n,)``, n >= 1, float32
    clipped : bool
        Whether a block of them says so: at a lower rate than the source's the
        flat tops of clipping can no longer be seen.
    """
    dc = float(samples.mean())
    around = samples - np.float32(dc)
    power = float(np.dot(around, around)) / len(around)
    level_dbfs = max(FLOOR_DBFS, 10.0 * np.log10(power)) if power else FLOOR_DBFS
    share = share_at_rail(samples)
    if level_dbfs < QUIET_DBFS:
        verdict = Verdict.NO_SIGNAL
    elif clipped or share > CLIPPED_SHARE:
        verdict = Verdict.CLIPPED
    else:
        verdict = Verdict.OK
    return SignalHealth(verdict, float(level_dbfs), dc, share)


def share_at_rail(samples: Samples) -> float:
    """Share of the samples at full scale, 0 to 1."""
    # Extremes first: they settle nearly every call without a temporary array.
    if samples.max() < RAIL and samples.min() > -RAIL:
        return 0.0
    return float(np.count_nonzero(np.abs(samples) >= RAIL)) / len(samples)


class ClippingWatch:
    """Watches the last second of a source at its own rate.

    There, not behind the resampler: its filter rounds off the flat tops.
    """

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, int]] = deque()
        self._total = 0
        self._railed = 0

    def push(self, samples: Samples, rate_hz: int) -> bool:
        """Say whether the last second, up to these samples, is clipped."""
        railed = round(share_at_rail(samples) * len(samples))
        self._chunks.append((len(samples), railed))
        self._total += len(samples)
        self._railed += railed
        while self._total - self._chunks[0][0] >= rate_hz:
            count, railed = self._chunks.popleft()
            self._total -= count
            self._railed -= railed
        return self._railed > CLIPPED_SHARE * self._total
