"""A machine's sound for measurements: hum, overtones and noise."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from asd_agent.capture.chunk import Chunk

CHUNK_S = 0.1
"""Seconds in a chunk, as a microphone gives them"""


def machine_sound(seconds: float, rate_hz: int, seed: int = 0) -> NDArray[np.float32]:
    """Make sound of shape ``(samples,)``."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    hum = sum(np.sin(2 * np.pi * 49.3 * k * time_s) / k for k in range(1, 20))
    noise = rng.standard_normal(len(time_s))
    return (0.02 * hum + 0.01 * noise).astype(np.float32)


class Tape:
    """Samples in memory as a source, so that no decoder is measured."""

    name = "tape"
    live = False
    flaw = ""

    def __init__(self, samples: NDArray[np.float32], rate_hz: int) -> None:
        self._samples = samples
        self._rate_hz = rate_hz

    def chunks(self) -> Iterator[Chunk]:
        """Give all samples in chunks of `CHUNK_S`."""
        size = round(CHUNK_S * self._rate_hz)
        for at in range(0, len(self._samples), size):
            yield Chunk(self._samples[at : at + size], self._rate_hz)

    def close(self) -> None:
        """Nothing is held."""
