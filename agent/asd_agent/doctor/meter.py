"""Measures sound as it comes: rate, level, constant values, clipping, bandwidth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asd_agent.capture.chunk import Chunk, Samples
from asd_agent.capture.signal_health import FLOOR_DBFS, RAIL

SETTLE_S = 1.0
"""Not measured: a sound server hands out what it has buffered in a burst"""
SURE = 3.0
"""Standard deviations that a rate may be wrong by"""
TRANSFORM = 4096
"""Samples of one spectrum"""
BAND_HZ = 100.0
"""Width of the bands in which the end of the bandwidth is looked for"""
CLIFF_DB = 40.0
"""So far below most bands under the end lies every band above it"""
EMPTY_DBFS = -110.0
"""In one band: with less there is not even the noise of a microphone"""
LEAST_BANDS = 5
"""Under the end"""


@dataclass(frozen=True, slots=True)
class RateFit:
    """Samples a second by the clock."""

    rate_hz: float
    error: float
    """Share of the rate by which it may be wrong: how unevenly chunks came"""


class RateMeter:
    """Fits a line through when chunks came; lost samples begin it anew."""

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._settle_s = settle_s
        self._first_s: float | None = None
        self._count = 0
        self._points: list[tuple[float, int]] = []
        self._best: list[tuple[float, int]] = []

    def push(self, count: int, at_s: float, gap: bool) -> None:
        """Take a chunk of so many samples that came at some time."""
        if self._first_s is None:
            self._first_s = at_s
        if gap:
            self._points, self._count = [], 0
        self._count += count
        if at_s - self._first_s >= self._settle_s:
            self._points.append((at_s, self._count))
            if len(self._points) > len(self._best):
                self._best = self._points

    def fit(self) -> RateFit | None:
        """The rate; None: there was too little without a gap."""
        points = np.array(self._best)
        if len(points) < 5:
            return None
        times_s, counts = points[:, 0] - points[0, 0], points[:, 1]
        if times_s[-1] <= 0:
            return None
        rate_hz, first = np.polyfit(times_s, counts, 1)
        if rate_hz <= 0:
            return None
        late_s = times_s - (counts - first) / rate_hz
        # Of a line through points: what three deviations of its slope are.
        spread = np.std(times_s) * np.sqrt(len(times_s) - 2)
        return RateFit(float(rate_hz), float(SURE * np.std(late_s) / spread))


class ConstantMeter:
    """Longest run of one value."""

    def __init__(self) -> None:
        self.longest = 0
        """Samples of it"""
        self.value = 0.0
        """The value of it"""
        self._run = 0
        self._last: float | None = None

    def push(self, samples: Samples) -> None:
        """Take samples."""
        ends = np.flatnonzero(samples[1:] != samples[:-1]) + 1
        starts = np.concatenate(([0], ends))
        lengths = np.diff(np.concatenate((starts, [len(samples)])))
        if self._last is not None and samples[0] == self._last:
            lengths[0] += self._run
        at = int(lengths.argmax())
        if lengths[at] > self.longest:
            self.longest = int(lengths[at])
            self.value = float(samples[starts[at]])
        self._run, self._last = int(lengths[-1]), float(samples[-1])


class SpectrumMeter:
    """Mean power in each bin; the sum over all bins is the mean square."""

    def __init__(self) -> None:
        self._window = np.hanning(TRANSFORM + 1)[:-1].astype(np.float32)
        self._scale = 2 / (TRANSFORM * float(np.square(self._window).sum()))
        self._held: Samples = np.zeros(0, np.float32)
        self._power: NDArray[np.float64] = np.zeros(TRANSFORM // 2 + 1)
        self._count = 0

    def push(self, samples: Samples) -> None:
        """Take samples."""
        held = np.concatenate((self._held, samples))
        for at in range(0, len(held) - TRANSFORM + 1, TRANSFORM):
            piece = held[at : at + TRANSFORM]
            spectrum = np.fft.rfft((piece - piece.mean()) * self._window)
            self._power += np.abs(spectrum) ** 2
            self._count += 1
        self._held = held[len(held) - len(held) % TRANSFORM :]

    def power(self) -> NDArray[np.float64] | None:
        """Mean power in each bin; None: there was not enough sound."""
        return self._power * (self._scale / self._count) if self._count else None


class Meter:
    """All of it, for one source."""

    def __init__(self) -> None:
        self.rate_hz = 0
        """Hertz that the source promises"""
        self.samples = 0
        self.chunks = 0
        self.gaps = 0
        """Chunks before which sound was lost"""
        self.lost = 0
        """Samples that were lost, as far as that is known"""
        self.zeros = 0
        self.railed = 0
        """Samples at full scale"""
        self.peak = 0.0
        self.rate = RateMeter()
        self.constant = ConstantMeter()
        self.spectrum = SpectrumMeter()
        self._sum = 0.0
        self._squares = 0.0

    def push(self, chunk: Chunk, at_s: float) -> None:
        """Take a chunk that came at some time."""
        samples = chunk.samples
        self.rate_hz = chunk.rate_hz
        self.chunks += 1
        # What was lost before the first chunk was not listened to.
        gap = chunk.gap and self.chunks > 1
        self.gaps += gap
        self.lost += chunk.lost if gap else 0
        self.samples += len(samples)
        self.zeros += int(np.count_nonzero(samples == 0))
        self.railed += int(np.count_nonzero(np.abs(samples) >= RAIL))
        self.peak = max(self.peak, float(np.abs(samples).max()))
        self._sum += float(samples.sum(dtype=np.float64))
        self._squares += float(np.square(samples, dtype=np.float64).sum())
        self.rate.push(len(samples), at_s, gap)
        self.constant.push(samples)
        self.spectrum.push(samples)

    @property
    def is_constant(self) -> bool:
        """Whether there was one value and no other."""
        return self.constant.longest == self.samples

    @property
    def dc(self) -> float:
        """Mean, share of full scale."""
        return self._sum / self.samples

    @property
    def level_dbfs(self) -> float:
        """Root mean square around the mean, decibel to full scale."""
        power = self._squares / self.samples - self.dc**2
        return decibel(power)

    @property
    def constant_s(self) -> float:
        """Seconds of the longest run of one value."""
        return self.constant.longest / self.rate_hz

    @property
    def edge_hz(self) -> float | None:
        """Where the bandwidth ends, if it does before half the rate."""
        power = self.spectrum.power()
        return None if power is None else edge_hz(power, self.rate_hz)


def decibel(power: float) -> float:
    """Decibel to full scale of a mean square; -200 at least."""
    return max(FLOOR_DBFS, float(10 * np.log10(power))) if power > 0 else FLOOR_DBFS


def edge_hz(power: NDArray[np.float64], rate_hz: int) -> float | None:
    """Frequency above which there is nothing, and under which there is broad sound.

    Parameters
    ----------
    power : array, shape ``(bins,)``
        From 0 to half the rate.
    rate_hz : int
        Of the sound.

    Returns
    -------
    float or None
        None: sound goes on to half the rate, or falls off gently as sound does.
    """
    size = max(1, round(BAND_HZ / (rate_hz / 2) * (len(power) - 1)))
    count = len(power) // size
    bands = power[: count * size].reshape(count, size).sum(axis=1)
    levels_db = 10 * np.log10(np.maximum(bands, 1e-30))
    # The loudest of all that lies above each band.
    above_db = np.maximum.accumulate(levels_db[::-1])[::-1]
    for band in range(LEAST_BANDS, count - 2):
        # Most bands, not the loudest: a tone alone has no bandwidth.
        under_db = float(np.median(levels_db[:band]))
        past_db = above_db[band + 1]
        if past_db < EMPTY_DBFS and under_db - past_db >= CLIFF_DB:
            return band * size / (len(power) - 1) * rate_hz / 2
    return None
