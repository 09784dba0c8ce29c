"""A unit is whole, finite and unbroken, or it is not heard."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.capture.chunk import Block, Chunk, Samples
from asd_agent.capture.feed import Feed
from asd_agent.capture.signal_health import Verdict
from asd_agent.features.stream import units
from asd_agent.hearing import Heard, Hearing
from support.bundles import SMALL, forge
from support.sounds import Played, blocks, noise, opened

SPAN, SHIFT = SMALL.unit_samples, SMALL.shift_samples


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    return opened(forge(tmp_path_factory.mktemp("hearing") / "bundle", members=2))


def hear(hearing: Hearing, *some: Block) -> list[Heard]:
    return [heard for block in some for heard in hearing.hear(block)]


def test_each_unit_is_heard_by_every_member(members: list[Member]) -> None:
    found = hear(Hearing(members), *blocks(noise(SPAN + SHIFT)))
    assert [heard.end_sample for heard in found] == [SPAN, SPAN + SHIFT]
    assert all(len(heard.vectors) == 2 for heard in found)
    assert not any(heard.gap for heard in found)
    assert found[0].verdict is Verdict.OK
    assert found[0].level_dbfs == pytest.approx(-20, abs=0.5)


def test_members_with_the_same_front_end_share_it(
    tmp_path: Path, members: list[Member]
) -> None:
    shared = Hearing(members)
    sound = noise(SPAN + SHIFT)
    (other,) = opened(
        forge(tmp_path / "b", SMALL.model_copy(update={"drop": "nyquist"}))
    )
    mixed = [members[0], other, members[1]]
    for heard in hear(shared, *blocks(sound)):
        assert heard.vectors[0].tobytes() == heard.vectors[1].tobytes()
    for heard, unit in zip(
        hear(Hearing(mixed), *blocks(sound)), units(SMALL, sound), strict=True
    ):
        assert heard.vectors[0].tobytes() == members[0].embed(unit).tobytes()
        assert heard.vectors[2].tobytes() == heard.vectors[0].tobytes()
    wanted = units(other.spec.features, sound)
    found = [h.vectors[1] for h in hear(Hearing(mixed), *blocks(sound))]
    assert [v.tobytes() for v in found] == [other.embed(u).tobytes() for u in wanted]


def test_the_counter_starts_where_the_sound_does(members: list[Member]) -> None:
    found = hear(Hearing(members), *blocks(noise(SPAN), start=90_000))
    assert [heard.end_sample for heard in found] == [90_000 + SPAN]
    assert not found[0].gap


def test_no_unit_reaches_across_a_gap(members: list[Member]) -> None:
    before, after = noise(SPAN + 100, seed=1), noise(SPAN + SHIFT, seed=2)
    start = len(before) + 5_000
    lost = Block(noise(400), start, gap=True)
    found = hear(
        Hearing(members), *blocks(before), lost, *blocks(after, start=start + 400)
    )
    assert [heard.gap for heard in found] == [False, True, False]
    # What is in the marked block is not heard: the jump may lie anywhere in it.
    expected = members[0].embed(units(SMALL, after)[0])
    assert found[1].vectors[0].tobytes() == expected.tobytes()
    assert found[1].end_sample == start + 400 + SPAN


@pytest.mark.parametrize("rate_hz", [4_000, 16_000, 44_100])
def test_no_jump_is_heard_through_the_resampler(
    members: list[Member], rate_hz: int
) -> None:
    """A source that loses samples: a hum that jumps from +0.5 to -0.5."""
    step = np.repeat(np.array([0.5, -0.5], np.float32), 2 * rate_hz)
    sound = step + noise(len(step), level=1e-3)
    size = rate_hz // 10
    played = [
        Chunk(sound[at : at + size], rate_hz, gap=at == 2 * rate_hz)
        for at in range(0, len(sound), size)
    ]
    hearing = Hearing(members)
    heard = [
        h for b in Feed(Played(played), SMALL.rate_hz).blocks() for h in hearing.hear(b)
    ]
    assert [h.gap for h in heard].count(True) == 1
    # Around its mean each unit is as quiet as the noise; a jump would be -6 dB.
    assert max(h.level_dbfs for h in heard[1:-1]) < -50


def test_silence_has_no_vector(members: list[Member]) -> None:
    (heard,) = hear(Hearing(members), *blocks(np.zeros(SPAN, np.float32)))
    assert heard.verdict is Verdict.NO_SIGNAL
    assert heard.vectors == ()
    assert heard.level_dbfs == -200


def test_clipping_marks_the_units_that_it_reaches(members: list[Member]) -> None:
    sound = noise(4 * SPAN)
    some = [
        replace(block, clipped=SPAN <= block.start < SPAN + 400)
        for block in blocks(sound)
    ]
    reached = [b for b in some if b.clipped]
    past = reached[-1].start + len(reached[-1].samples)
    for heard in hear(Hearing(members), *some):
        start = heard.end_sample - SPAN
        touches = start < past and heard.end_sample > reached[0].start
        if touches:
            assert heard.verdict is Verdict.SUSPECT
        elif start >= past:
            assert heard.verdict is Verdict.OK


class Overflowing:
    """A network that gives what is not a number for the second unit."""

    library = "none"

    def __init__(self, embed: Member) -> None:
        self._member = embed
        self._count = 0

    def embed(self, unit: NDArray[np.float32]) -> Samples:
        self._count += 1
        return self._member.embed(unit) * np.float32(np.nan if self._count == 2 else 1)


def test_an_embedding_that_is_not_a_number_is_no_signal(tmp_path: Path) -> None:
    (member,) = opened(forge(tmp_path / "bundle"))
    broken = replace(member, embedder=Overflowing(member))  # type: ignore[arg-type]  # no model file
    hearing = Hearing([broken])
    found = hear(hearing, *blocks(noise(SPAN + 2 * SHIFT)))
    verdicts = [heard.verdict for heard in found]
    assert verdicts == [Verdict.OK, Verdict.NO_SIGNAL, Verdict.OK]
    assert found[1].vectors == ()
    # And is told apart from silence.
    assert hearing.not_finite == 1


def test_silence_is_no_fault_of_a_network(members: list[Member]) -> None:
    hearing = Hearing(members)
    hear(hearing, *blocks(np.zeros(3 * SPAN, np.float32)))
    assert hearing.not_finite == 0
    assert hearing.stuck  # it has not shown anything yet


class Stuck(Overflowing):
    """A network that gives one vector for everything."""

    def embed(self, unit: NDArray[np.float32]) -> Samples:
        return np.ones_like(self._member.embed(unit))


def test_a_member_that_gives_one_vector_for_everything_is_stuck(
    tmp_path: Path,
) -> None:
    (member,) = opened(forge(tmp_path / "bundle"))
    stuck = replace(member, embedder=Stuck(member))  # type: ignore[arg-type]  # no model file
    sound = noise(SPAN + 9 * SHIFT)
    # One of two is enough: it would be deaf to what it was built to hear.
    for some, expected in (([member], False), ([stuck], True), ([member, stuck], True)):
        hearing = Hearing(some)
        hear(hearing, *blocks(sound))
        assert hearing.stuck is expected
