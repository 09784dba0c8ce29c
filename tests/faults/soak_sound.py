"""Sound of a machine for days, in no time, with everything that can go wrong.

What it does follows from its seed alone. It counts what it gives and what it says was
lost, so that a ledger can be checked to the sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from asd_agent.capture.chunk import Chunk, Samples
from asd_agent.errors import SoundError

RATE_HZ = 16_000
CHUNK = 1_600
TAPE_S = 300
"""Of sound that is played again and again, from another place each time"""
WELL_S = (300, 1_500)
"""Seconds between two troubles"""


@dataclass
class Told:
    """What one source has given."""

    samples: int = 0
    """Samples of all chunks"""
    lost: int = 0
    """Samples that it said were missing"""
    troubles: dict[str, int] = field(default_factory=dict)


class Machine:
    """One machine and its microphone, which may be lost and opened again.

    Parameters
    ----------
    name
        Of the source.
    seed
        Decides all that happens.
    seconds
        How long it sounds.
    learning_s
        Seconds at the start in which nothing happens.
    """

    live = False
    flaw = ""

    def __init__(self, name: str, seed: int, seconds: float, learning_s: float) -> None:
        self.name = name
        self.told = Told()
        self._random = np.random.default_rng(seed)
        self._end = int(seconds * RATE_HZ)
        self._well = int(learning_s * RATE_HZ)
        self._tape = self._make_tape()
        self._pending: str | None = None
        self._left = self._well
        time = np.arange(CHUNK) / RATE_HZ
        self._whine: Samples = (0.05 * np.sin(2 * np.pi * 3_000 * time)).astype("f4")

    def chunks(self) -> Iterator[Chunk]:
        """Go on where it was left; raises `SoundError` where the device is lost."""
        while self._past < self._end:
            if self._left <= 0:
                yield from self._next_trouble()
            yield self._chunk(self._pending)
            self._left -= CHUNK

    def close(self) -> None:
        """Nothing is open."""

    @property
    def _past(self) -> int:
        return self.told.samples + self.told.lost

    def _make_tape(self) -> Samples:
        """Noise with a hum that is a little different for each machine."""
        count = TAPE_S * RATE_HZ
        tape = self._random.normal(0, 0.02, count).astype(np.float32)
        hum_hz = self._random.uniform(90, 400)
        time = np.arange(count) / RATE_HZ
        tape += 0.03 * np.sin(2 * np.pi * round(hum_hz) * time).astype(np.float32)
        return tape

    def _next_trouble(self) -> Iterator[Chunk]:
        """Let a trouble begin, or the machine be well again."""
        if self._pending is not None:
            self._pending = None
            self._left = int(self._random.uniform(*WELL_S) * RATE_HZ)
            return
        kind = str(self._random.choice([*STATES, "dropout", "lost"]))
        self.told.troubles[kind] = self.told.troubles.get(kind, 0) + 1
        self._left = int(self._random.uniform(*WELL_S) * RATE_HZ)
        if kind in STATES:
            self._pending = kind
            self._left = int(self._random.uniform(5, 90) * RATE_HZ)
        elif kind == "dropout":
            lost = int(self._random.integers(1, 3 * RATE_HZ))
            self.told.lost += lost
            samples = self._part()
            self.told.samples += len(samples)
            yield Chunk(samples, RATE_HZ, gap=True, lost=lost)
        else:
            raise SoundError(f"{self.name}: pulled out by a test")

    def _part(self) -> Samples:
        at = int(self._random.integers(0, len(self._tape) - CHUNK))
        at -= at % RATE_HZ  # the hum goes on without a jump
        at += self.told.samples % RATE_HZ // CHUNK * CHUNK
        return self._tape[at : at + CHUNK].copy()

    def _chunk(self, trouble: str | None) -> Chunk:
        samples = self._part()
        if trouble == "zeros":
            samples[:] = 0.0
        elif trouble == "stuck":
            samples[:] = 0.3
        elif trouble == "clipping":
            samples = np.clip(samples * 100, -1, 1)
        elif trouble == "anomaly":
            samples += self._whine[: len(samples)]
        self.told.samples += len(samples)
        return Chunk(samples, RATE_HZ)


STATES = ("zeros", "stuck", "clipping", "anomaly", "anomaly")
"""Troubles that last; anomalies twice as often as the others"""
