"""Samples in, units out: the one front end of training, export and device.

Frames are computed in blocks of `unit_shift`, at the same places of the stream
and with the same array shapes however the samples arrive. Streaming therefore
gives the same bits as the whole recording at once, which is only a stream fed
in one piece. After the first unit no array is allocated for a frame: every step
writes into one made beforehand (NumPy 2; NumPy 1 has no `out` for `rfft`).

The transform is in float64, and rounded: so quiet bins beside a loud tone are
the same on every machine. Of float32 samples NumPy would make copies for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from asd_agent.features.mel import mel_edges, mel_filters
from asd_agent.features.spec import FLOOR_POWER, FeatureSpec, LogMelSpec, SecomSpec

_DB_PER_NEPER = 10 / np.log(10)
_RFFT_HAS_OUT = np.lib.NumpyVersion(np.__version__) >= "2.0.0"

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. The arrays are the stream's own: use them before the next unit."""

    start: int
    """Sample counter of its first sample"""
    values: Array
    """Normalised decibel, shape ``(bands, unit_frames)``"""
    samples: Array
    """The samples that it was made of, shape ``(unit_samples,)``"""


class Spectrogram:
    """Turns a block of frames into normalised log power."""

    def __init__(self, spec: FeatureSpec, frames: int) -> None:
        self._spec = spec
        bins = spec.window // 2 + 1
        # Scaled so that a full-scale sine has power 1: levels read as dBFS.
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.window) / spec.window)
        self._hann: NDArray[np.float64] = hann * (2 / hann.sum())
        self._windowed = np.zeros((frames, spec.window))
        self._complex = np.zeros((frames, bins), np.complex128)
        self._rounded = np.zeros((frames, bins), np.complex64)
        parts = self._rounded.view(np.float32).reshape(frames, bins, 2)
        if isinstance(spec, SecomSpec):
            parts = parts[:, 1:] if spec.drop == "dc" else parts[:, :-1]
        self._real, self._imag = parts[..., 0], parts[..., 1]
        self._power = np.zeros(self._real.shape, np.float32)
        self._square = np.zeros(self._real.shape, np.float32)
        self._mel: Array | None = None
        self._level = self._power
        if isinstance(spec, LogMelSpec):
            self._mel = mel_filters(
                spec.rate_hz, spec.window, spec.n_mels, spec.low_hz, spec.top_hz
            )
            self._level = np.zeros((frames, spec.n_mels), np.float32)
        self._mean = np.array(spec.mean_db, np.float32) if spec.mean_db else None
        self._scale = np.float32(1) / np.array(spec.std_db, np.float32)

    @property
    def window(self) -> NDArray[np.float64]:
        """Factor of each sample of a frame: full-scale sines get power 1."""
        return self._hann

    @property
    def filters(self) -> Array | None:
        """Mel filters, shape ``(bins, bands)``; None: bands are bins."""
        return self._mel

    @property
    def mean_db(self) -> Array | None:
        """Decibel subtracted from each band; None: nothing."""
        return self._mean

    @property
    def gain(self) -> Array | None:
        """Factor of each band after that, 1 / decibel; None: 1."""
        return self._scale if self._scale.size else None

    def __call__(self, frames: Array) -> Array:
        """Compute one block.

        Parameters
        ----------
        frames : array, shape ``(frames, window)``, float32
            May overlap in memory.

        Returns
        -------
        array, shape ``(frames, bands)``
            Normalised decibel; overwritten by the next call.
        """
        np.copyto(self._windowed, frames)
        np.multiply(self._windowed, self._hann, out=self._windowed)
        if _RFFT_HAS_OUT:
            np.fft.rfft(self._windowed, axis=1, out=self._complex)
        else:
            self._complex[:] = np.fft.rfft(self._windowed, axis=1)
        np.copyto(self._rounded, self._complex, casting="same_kind")
        np.multiply(self._real, self._real, out=self._power)
        np.multiply(self._imag, self._imag, out=self._square)
        np.add(self._power, self._square, out=self._power)
        level = self._level
        if self._mel is not None:
            np.matmul(self._power, self._mel, out=level)
        np.add(level, np.float32(FLOOR_POWER), out=level)
        np.log(level, out=level)
        np.multiply(level, np.float32(_DB_PER_NEPER), out=level)
        if self._mean is not None:
            np.subtract(level, self._mean, out=level)
        if self._scale.size:
            np.multiply(level, self._scale, out=level)
        return level


class FeatureStream:
    """Units of one stream of samples at the rate of `spec`."""

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._spectrogram = Spectrogram(spec, spec.unit_shift)
        # Two of each, used in turn: a copy within one array would need a third.
        self._buffers = [np.zeros(spec.unit_samples, np.float32) for _ in range(2)]
        self._units = [np.zeros(spec.unit_shape, np.float32) for _ in range(2)]
        self._frames = [_frame_blocks(spec, buffer) for buffer in self._buffers]
        self.reset(0)

    def reset(self, start: int) -> None:
        """Forget the past: the next sample has the counter `start`."""
        self._start = start
        self._filled = 0
        self._now = 0
        self._first = True

    def push(self, samples: Array) -> Iterator[Unit]:
        """Take samples, shape ``(n,)``, of any n; yield the units they complete."""
        taken = 0
        while taken < len(samples):
            buffer = self._buffers[self._now]
            n = min(len(samples) - taken, len(buffer) - self._filled)
            buffer[self._filled : self._filled + n] = samples[taken : taken + n]
            self._filled += n
            taken += n
            if self._filled == len(buffer):
                yield self._complete()
                self._advance()

    def _complete(self) -> Unit:
        values = self._units[self._now]
        blocks = self._frames[self._now]
        shift = self.spec.unit_shift
        if self._first:
            for i, frames in enumerate(blocks):
                values[:, i * shift : (i + 1) * shift] = self._spectrogram(frames).T
            self._first = False
        else:
            values[:, :-shift] = self._units[1 - self._now][:, shift:]
            values[:, -shift:] = self._spectrogram(blocks[-1]).T
        return Unit(self._start, values, self._buffers[self._now])

    def _advance(self) -> None:
        step = self.spec.shift_samples
        kept = self.spec.unit_samples - step
        self._buffers[1 - self._now][:kept] = self._buffers[self._now][step:]
        self._start += step
        self._filled = kept
        self._now = 1 - self._now


def _frame_blocks(spec: FeatureSpec, buffer: Array) -> list[Array]:
    """Overlapping frames of a unit's samples, in blocks ``(unit_shift, window)``."""
    step = buffer.strides[0]
    frames = as_strided(
        buffer,
        (spec.unit_frames, spec.window),
        (spec.hop * step, step),
        writeable=False,
    )
    return [
        frames[i : i + spec.unit_shift]
        for i in range(0, spec.unit_frames, spec.unit_shift)
    ]


def units(spec: FeatureSpec, samples: Array) -> Array:
    """All units of a recording, shape ``(n, bands, unit_frames)``.

    Parameters
    ----------
    spec : FeatureSpec
    samples : array, shape ``(samples,)``, float32, full scale is 1
    """
    found = np.zeros((spec.units_in(len(samples)), *spec.unit_shape), np.float32)
    for i, unit in enumerate(FeatureStream(spec).push(samples)):
        found[i] = unit.values
    return found


def band_edges_hz(spec: FeatureSpec) -> Array:
    """Edges of each band in hertz, shape ``(bands, 2)``."""
    if isinstance(spec, SecomSpec):
        width = spec.rate_hz / spec.window
        first = 1 if spec.drop == "dc" else 0
        centre = (np.arange(spec.bands) + first) * width
        edges = np.stack([centre - width / 2, centre + width / 2], axis=1)
    else:
        corners = mel_edges(spec.n_mels, spec.low_hz, spec.top_hz)
        edges = np.stack([corners[:-2], corners[2:]], axis=1)
    return np.maximum(edges, 0).astype(np.float32)
