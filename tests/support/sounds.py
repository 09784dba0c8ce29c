"""Sound made on the spot, and what the agent makes of it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import soundfile

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import Member, open_members
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Block, Chunk, Samples
from asd_agent.hearing import Heard, Hearing
from asd_agent.learn import Learner

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def noise(samples: int, seed: int = 0, level: float = 0.1) -> Samples:
    """White noise: what a machine sounds like when it is well."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, level, samples).astype(np.float32)


def whine(samples: int, rate_hz: int, hz: float = 700.0, seed: int = 0) -> Samples:
    """The noise with a loud tone and its octave: something is wrong."""
    turns = hz / rate_hz * np.arange(samples)
    tone = 0.6 * np.sin(2 * np.pi * turns) + 0.2 * np.sin(4 * np.pi * turns)
    sound: Samples = noise(samples, seed) + tone.astype(np.float32)
    return sound


def wav(path: Path, samples: Samples, rate_hz: int, subtype: str = "FLOAT") -> Path:
    """Write a recording; float samples come back as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def cut(samples: Samples, sizes: Iterable[int]) -> Iterator[Samples]:
    """Cut samples into pieces of these sizes; the rest is the last piece."""
    at = 0
    for size in sizes:
        if at >= len(samples):
            return
        yield samples[at : at + size]
        at += size
    if at < len(samples):
        yield samples[at:]


def blocks(samples: Samples, size: int = 400, start: int = 0) -> Iterator[Block]:
    """Samples as a feed would give them."""
    for at in range(0, len(samples), size):
        yield Block(samples[at : at + size], start + at, gap=False)


class Played:
    """A source that plays what it is given."""

    name = "played"
    flaw = ""

    def __init__(self, chunks: Iterable[Chunk], live: bool = False) -> None:
        self.live = live
        self._chunks = chunks

    def chunks(self) -> Iterator[Chunk]:
        yield from self._chunks

    def close(self) -> None:
        pass


def opened(folder: Path) -> list[Member]:
    """Open the members of a bundle."""
    return open_members(Bundle.open(folder))


def heard(members: Sequence[Member], samples: Samples) -> list[Heard]:
    """Every unit of some sound."""
    hearing = Hearing(members)
    return [unit for block in blocks(samples) for unit in hearing.hear(block)]


def learnt(members: Sequence[Member], samples: Samples) -> Site:
    """Learn some sound."""
    learner = Learner(members)
    for unit in heard(members, samples):
        learner.add(unit)
    return learner.site("forged-1", NOW)
