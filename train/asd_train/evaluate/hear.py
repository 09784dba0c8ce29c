"""Clips to what is heard in them: the device's own path, embedded in batches."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from asd_agent.bundle.member import Member
from asd_agent.capture.feed import Feed
from asd_agent.capture.recording import Recording
from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SoundError
from asd_agent.hearing import Heard, Hearing
from asd_train.data.dcase import Clip
from asd_train.evaluate.ear import Array, Ear, Later

CLIPS_AT_ONCE = 8
"""Clips whose units are held and embedded together"""


@dataclass(frozen=True, slots=True)
class _Raw:
    """A clip whose first member's vectors are still to come."""

    heard: list[Heard]
    units: list[Array]
    """Units to embed, one for each that is heard and not deaf"""


def hear_all(ear: Ear, clips: Iterable[Clip], jobs: int = 1) -> Iterator[list[Heard]]:
    """Hear clips, each by itself; yields the units of each in turn.

    Parameters
    ----------
    ear : Ear
    clips : iterable of Clip
    jobs : int
        Threads that read and transform, where the network runs in batches.

    Raises
    ------
    SoundError
        A clip cannot be read or is shorter than one unit.
    """
    if ear.network is None:
        yield from (hear_clip(ear.members, clip) for clip in clips)
        return
    queue = iter(clips)
    with ThreadPoolExecutor(jobs) as pool:
        while batch := list(islice(queue, max(CLIPS_AT_ONCE, jobs))):
            raw = list(pool.map(lambda clip: _hear_raw(ear, clip), batch))
            vectors = _embed(ear, [unit for one in raw for unit in one.units])
            for one in raw:
                own, vectors = vectors[: len(one.units)], vectors[len(one.units) :]
                yield _filled(one.heard, own)


def hear_clip(members: Sequence[Member], clip: Clip) -> list[Heard]:
    """Hear one clip as the device does.

    Raises
    ------
    SoundError
        It cannot be read or is shorter than one unit.
    """
    features = members[0].spec.features
    hearing = Hearing(members)
    source = Recording(clip.path, clip.channel)
    with closing(Feed(source, features.rate_hz)) as feed:
        heard = [unit for block in feed.blocks() for unit in hearing.hear(block)]
    if not heard:
        seconds = features.unit_samples / features.rate_hz
        raise SoundError(
            f"{clip.path} is shorter than one unit of {seconds:.2f} s: leave it out, "
            "or record more"
        )
    return heard


def _hear_raw(ear: Ear, clip: Clip) -> _Raw:
    first = ear.members[0]
    if first.embedder is None:
        raise AssertionError("an ear with a network to batch has none to replace")
    later = Later(first.embedder, first.size)
    heard = hear_clip((replace(first, embedder=later), *ear.members[1:]), clip)
    return _Raw(heard, later.units)


def _embed(ear: Ear, units: list[Array]) -> Array:
    if ear.network is None or not units:
        return np.zeros((0, ear.members[0].size), np.float32)
    return ear.network.embed_all(np.stack(units))


def _filled(heard: list[Heard], vectors: Array) -> list[Heard]:
    """Put the vectors where they belong; a unit whose vector overflowed is deaf."""
    rows = iter(vectors)
    found = []
    for unit in heard:
        # Every unit with signal was embedded, also one that was found deaf later.
        if unit.verdict is Verdict.NO_SIGNAL and unit.levels.size == 0:
            found.append(unit)
            continue
        vector = next(rows)
        if unit.vectors and np.isfinite(vector).all():
            found.append(replace(unit, vectors=(vector, *unit.vectors[1:])))
        else:
            found.append(replace(unit, vectors=(), verdict=Verdict.NO_SIGNAL))
    return found
