"""Triangular mel filters on Slaney's scale with equal area.

Source: M. Slaney, "Auditory Toolbox", version 2, 1998: linear below 1 kHz
(66.7 Hz a mel), logarithmic above (27 mel for a factor of 6.4).
"""

import numpy as np
from numpy.typing import NDArray

_HZ_PER_MEL = 200.0 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL  # 15
_LOG_STEP = np.log(6.4) / 27


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert hertz to mel, any shape."""
    above = _KNEE_MEL + np.log(np.maximum(hz, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP
    return np.where(hz < _KNEE_HZ, hz / _HZ_PER_MEL, above)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert mel to hertz, any shape."""
    above = _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _KNEE_MEL) - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _HZ_PER_MEL, above)


def mel_edges(n_mels: int, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Corners of the triangles in hertz, shape ``(n_mels + 2,)``."""
    ends = hz_to_mel(np.array([low_hz, high_hz]))
    return mel_to_hz(np.linspace(ends[0], ends[1], n_mels + 2))


def mel_filters(
    rate_hz: int, window: int, n_mels: int, low_hz: float, high_hz: float
) -> NDArray[np.float32]:
    """Weights from power bins to mel bands, shape ``(window // 2 + 1, n_mels)``.

    Raises
    ------
    ValueError
        A band is so narrow that no bin falls into it.
    """
    bins_hz = np.arange(window // 2 + 1)[:, None] * (rate_hz / window)
    edges = mel_edges(n_mels, low_hz, high_hz)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins_hz - low) / (centre - low)
    falling = (high - bins_hz) / (high - centre)
    weights = np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))
    empty = np.flatnonzero(weights.sum(axis=0) == 0)
    if len(empty):
        raise ValueError(
            f"mel band {empty[0]} ({low[empty[0]]:.0f}-{high[empty[0]]:.0f} Hz) holds "
            f"no bin of a {window}-sample window: take fewer bands or a longer window"
        )
    return weights.astype(np.float32)
