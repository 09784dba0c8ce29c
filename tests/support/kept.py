"""Sound as a source gives it, learnt and kept as a running agent does."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, read_info
from asd_agent.capture.chunk import Block, Samples
from asd_agent.hearing import Heard, Hearing
from asd_agent.keeper import Keeper
from asd_agent.kept import KeptSound
from asd_agent.learn import Learner
from asd_agent.learning import Learning, learn_kept
from support.sounds import NOW, blocks

MUCH = 10**9
"""Bytes that no test reaches"""
END = "end of a recording"

Event = Block | str


def hear(
    members: Sequence[Member], folder: Path, events: Iterable[Event], most: int = MUCH
) -> tuple[Learner, Keeper]:
    """Learn and keep blocks, and ends of recordings between them."""
    learner, keeper = Learner(members), Keeper(folder, members[0].spec, most)
    hearing = Hearing(members)
    for event in events:
        if isinstance(event, str):
            learner.end_segment()
            keeper.end_recording()
            hearing = Hearing(members)
            continue
        for heard in hearing.hear(keeper.hear(event)):
            learner.add(heard)
            keeper.keep(heard)
    return learner, keeper


def kept(
    members: Sequence[Member],
    path: Path,
    samples: Samples,
    most: int = MUCH,
    disk: Disk | None = None,
) -> Site:
    """Learn some sound and write the site to `path`, the sound beside it."""
    with Learning(members, path, most, disk) as learning:
        for block in blocks(samples):
            for _ in learning.hear(block):
                pass
        return learning.finish(path.stem, NOW)


def again(members: Sequence[Member], path: Path) -> Site:
    """Learn the sound that a site names once more, as after an update."""
    sound = KeptSound.open(path.parent / read_info(path).sound)
    return learn_kept(members, sound).site("again-1", NOW)


def sound_of(path: Path) -> Path:
    """The one folder of kept sound beside a site."""
    (folder,) = path.parent.glob("sound-*")
    return folder


def segments(learner: Learner) -> list[list[Heard]]:
    """What a learner is going to make a site of."""
    learner._drop_fragment()
    return learner._segments


def differences(one: Site, other: Site) -> Iterator[tuple[str, Any, Any]]:
    """Every array of two sites."""
    yield "bands", one.bands, other.bands
    assert list(one.members) == list(other.members)
    for name, member in one.members.items():
        yield f"{name}/bank", member.bank, other.members[name].bank
        yield f"{name}/scores", member.scores, other.members[name].scores


def same(one: Site, other: Site) -> bool:
    """Whether two sites hold the same bits."""
    return all(
        np.array_equal(a, b, equal_nan=True) for _, a, b in differences(one, other)
    )
