"""Whether samples can be sound of a machine at all: no signal, or distorted."""

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
DEAD_SWING = 5e-5
"""A part that moves less is a constant: it may be off by the last bit of 16, which a
sound server that resamples makes of a constant, and no microphone is so still"""
PARTS = 8
"""Parts of a unit, each of which must live"""
MOST_DC = 0.25
"""A mean further from 0, in full scales, is no sound: it takes the room for sound"""
STUCK_DC = 0.001
"""A constant value nearer to 0 is the offset that every converter has"""
FLOOR_DBFS = -200.0
"""Level that stands for digital silence, which has no logarithm"""


class Verdict(str, Enum):
    """What the samples are good for."""

    OK = "ok"
    NO_SIGNAL = "no_signal"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class SignalHealth:
    """Level and faults of some samples."""

    verdict: Verdict
    level_dbfs: float
    """Root mean square around the mean, decibel to full scale, -200 or more"""
    dc: float
    """Mean, share of full scale"""
    clipped_share: float
    """Share of the samples at full scale"""
    reason: str = ""
    """Why it is not ``ok``: ``silence`` (zeros, or next to nothing), ``stuck`` (one
    value again and again), ``clipped`` or ``dc``"""


def assess(samples: Samples, clipped: bool = False) -> SignalHealth:
    """Judge the samples of one unit or hop.

    A stuck value, digital silence included, has no level around its mean and so
    is `no_signal`, also where only a part of the samples is: what became of a machine
    meanwhile is not known.

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
    verdict, reason = Verdict.OK, ""
    if level_dbfs < QUIET_DBFS or _dead(samples):
        verdict = Verdict.NO_SIGNAL
        constant = dc if level_dbfs < QUIET_DBFS else _dead_value(samples)
        reason = "stuck" if abs(constant) > STUCK_DC else "silence"
    elif clipped or share > CLIPPED_SHARE:
        verdict, reason = Verdict.SUSPECT, "clipped"
    elif abs(dc) > MOST_DC:
        verdict, reason = Verdict.SUSPECT, "dc"
    return SignalHealth(verdict, float(level_dbfs), dc, share, reason)


def _parts(samples: Samples) -> Samples:
    """Equal parts, shape ``(parts, n)``; a rest at the end is left out."""
    parts = min(PARTS, len(samples))
    return samples[: len(samples) // parts * parts].reshape(parts, -1)


def _dead(samples: Samples) -> bool:
    """Whether a part of the samples is a constant."""
    parts = _parts(samples)
    # Extremes and not powers: no sum of a large constant hides what is small.
    swing = parts.max(axis=1) - parts.min(axis=1)
    return bool(swing.min() < DEAD_SWING)


def _dead_value(samples: Samples) -> float:
    parts = _parts(samples)
    swing = parts.max(axis=1) - parts.min(axis=1)
    return float(parts[int(swing.argmin()), 0])


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
