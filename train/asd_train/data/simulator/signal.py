"""Building blocks of synthetic sound: noise, harmonics, impacts, filters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]
"""One value a sample"""


def fast_length(samples: int) -> int:
    """Smallest of 2^k, 3 * 2^k, 5 * 2^k, 9 * 2^k that holds so many samples."""
    return min(
        odd << max(0, -(-samples // odd) - 1).bit_length() for odd in (1, 3, 5, 9)
    )


def band(
    hz: NDArray[np.float64], low_hz: float, high_hz: float, order: int = 2
) -> NDArray[np.float64]:
    """Magnitude of a Butterworth band pass at the frequencies `hz`."""
    safe = np.maximum(hz, 1e-3)
    edges = 1 + (low_hz / safe) ** (2 * order) + (safe / high_hz) ** (2 * order)
    return np.asarray(1 / np.sqrt(edges))


def shaped_noise(
    rng: np.random.Generator, samples: int, magnitude: NDArray[np.float64]
) -> Signal:
    """Gaussian noise with a spectrum of the given magnitude, root mean square 1.

    It is drawn in the frequency domain, so it repeats after `samples`.

    Parameters
    ----------
    rng : numpy.random.Generator
    samples : int
    magnitude : array, shape ``(samples // 2 + 1,)``
        Any scale.
    """
    parts = rng.standard_normal((2, len(magnitude)), dtype=np.float32)
    spectrum = (parts[0] + 1j * parts[1]) * magnitude.astype(np.float32)
    noise = np.fft.irfft(spectrum, samples)
    scale = samples / (2 * np.sqrt(np.sum(np.square(magnitude))))
    return np.asarray(noise * scale, np.float32)


def wander(
    rng: np.random.Generator, samples: int, rate_hz: float, period_s: float
) -> Signal:
    """Slow random drift of standard deviation about 1 that takes `period_s` a turn."""
    step = period_s * rate_hz
    knots = rng.standard_normal(int(samples / step) + 4)
    smooth = np.convolve(knots, [0.5, 0.7071, 0.5], mode="same")
    drift = np.interp(np.arange(samples) / step, np.arange(len(knots)), smooth)
    return np.asarray(drift, np.float32)


def harmonics(
    turns: NDArray[np.float64], amplitudes: Sequence[float | Signal]
) -> Signal:
    """Sum of cosines at 1, 2, 3... times a turning phase.

    Parameters
    ----------
    turns : array, shape ``(samples,)``
        Phase in turns.
    amplitudes : sequence
        A number or one value a sample for each harmonic.
    """
    step = np.exp(2j * np.pi * np.mod(turns, 1.0)).astype(np.complex64)
    turned = np.ones_like(step)
    total = np.zeros(len(turns), np.float32)
    for number, amplitude in enumerate(amplitudes, start=1):
        turned *= step
        # Harmonics that start in phase add up to clicks; the golden angle spreads them.
        shift = np.complex64(np.exp(2.39996j * number**2))
        total += np.asarray(amplitude, np.float32) * (turned * shift).real
    return total


def crossings(
    turns: NDArray[np.float64], rng: np.random.Generator, jitter: float
) -> NDArray[np.float64]:
    """Sample positions at which a rising phase passes whole turns.

    Parameters
    ----------
    turns : array, shape ``(samples,)``
        Rising phase in turns.
    rng : numpy.random.Generator
    jitter : float
        Standard deviation of each position in turns.
    """
    marks = np.arange(np.ceil(turns[0]), np.floor(turns[-1]) + 1)
    marks = marks + jitter * rng.standard_normal(len(marks))
    return np.asarray(np.interp(marks, turns, np.arange(float(len(turns)))))


def place(
    positions: NDArray[np.float64], weights: NDArray[np.float64], samples: int
) -> Signal:
    """Put impulses at fractional sample positions."""
    inside = (positions >= 0) & (positions < samples - 1)
    at, height = positions[inside], weights[inside]
    first = at.astype(np.int64)
    late = at - first
    train = np.bincount(first, height * (1 - late), samples)
    train += np.bincount(first + 1, height * late, samples)
    return train.astype(np.float32)


def ring(
    rate_hz: float, frequencies_hz: Sequence[float], decays_s: Sequence[float]
) -> Signal:
    """Ring-down of struck resonances, energy 1."""
    length = int(rate_hz * 6 * max(decays_s)) + 1
    time_s = np.arange(length) / rate_hz
    total = np.zeros(length)
    for number, (hz, decay_s) in enumerate(zip(frequencies_hz, decays_s, strict=True)):
        if hz < 0.47 * rate_hz:
            total += np.exp(-time_s / decay_s) * np.sin(
                2 * np.pi * hz * time_s + number
            )
    return np.asarray(total / np.sqrt(np.sum(total**2) + 1e-12), np.float32)


def filtered(signal: Signal, response: Signal) -> Signal:
    """Convolve, keeping the length; the end wraps into the start."""
    length = len(signal)
    spectrum = np.fft.rfft(signal) * np.fft.rfft(response, length)
    return np.asarray(np.fft.irfft(spectrum, length), np.float32)


def rms(signal: Signal) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))
