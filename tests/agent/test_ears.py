"""A switch of bundles loses no decision, and one that fails loses hardly any."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.capture.chunk import Block, Samples
from asd_agent.config import Config
from asd_agent.ear import Ear
from asd_agent.ears import Ears
from asd_agent.engine import Engine
from asd_agent.features.spec import FeatureSpec
from asd_agent.scoring.decision import Decision, State
from asd_agent.scoring.detector import KnnSpec, LofSpec
from support.agents import RATE_HZ, UNITS, WINDOW, agent
from support.bundles import SMALL, forge
from support.sounds import blocks, learnt, noise, whine

SHIFT = SMALL.shift_samples
FASTER = SMALL.model_copy(update={"rate_hz": 8000})
FINER = SMALL.model_copy(update={"unit_shift": 2})
SIZES = (7, 100, 400, 1000, 3000)

Told = tuple[Decision, str]
"""A decision, and the bundle that made it"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return agent(tmp_path_factory.mktemp("agent")).config()


MakeEar = Callable[..., Ear]


@pytest.fixture(scope="module")
def make_engine(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Engine]:
    """Forge a bundle and learn half a minute of noise with it; each only once."""
    made: dict[str, Engine] = {}

    def engine(
        name: str, features: FeatureSpec = SMALL, *, lof: bool = False
    ) -> Engine:
        if name not in made:
            folder = tmp_path_factory.mktemp("bundles") / name
            detector = LofSpec(k=3) if lof else KnnSpec()
            bundle = Bundle.open(forge(folder, features, id=name, detector=detector))
            members = open_members(bundle)
            site = learnt(members, noise(30 * features.rate_hz, seed=21))
            made[name] = Engine(members, site, bundle.manifest)
        return made[name]

    return engine


@pytest.fixture
def ear(config: Config, make_engine: Callable[..., Engine]) -> MakeEar:
    """An ear that has not heard anything yet."""

    def make(
        name: str,
        features: FeatureSpec = SMALL,
        *,
        learns: bool = False,
        lof: bool = False,
    ) -> Ear:
        engine = make_engine(name, features, lof=lof)
        if learns:
            engine = replace(engine, site=None)
        return Ear(config, config.sources[0], engine)

    return make


def ears_of(ear: Ear) -> Ears:
    return Ears(ear, "pump", 3)


def hear(ears: Ears, some: Iterable[Block]) -> list[Told]:
    told = []
    for block in some:
        ears.obey()
        for decision in ears.step(block):
            told.append((decision, ears.active.engine.manifest.id))
    return told


def parts(sound: Samples, size: int, at: int) -> tuple[list[Block], list[Block]]:
    """Blocks before a sample of the sound, and those from it on."""
    some = list(blocks(sound, size))
    return [b for b in some if b.start < at], [b for b in some if b.start >= at]


def check_unbroken(told: list[Told]) -> None:
    ends = [decision.end_sample for decision, _ in told]
    assert {now - before for before, now in pairwise(ends)} == {SHIFT}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("at", [0, 5_000, 12_345])
def test_decisions_go_on_in_steps_of_the_unit_shift(
    ear: MakeEar, size: int, at: int
) -> None:
    ears = ears_of(ear("old"))
    sound = noise(at + 4 * WINDOW, seed=3)
    before, after = parts(sound, size, at)
    told = hear(ears, before)
    ears.switch(ear("new", lof=True))
    told += hear(ears, after)
    check_unbroken(told)
    names = [name for _, name in told]
    assert names == sorted(names, reverse=True)
    assert names[-1] == "new"
    # From its first decision on the new one judges whole windows.
    fresh = [decision for decision, name in told if name == "new"]
    assert not any(decision.gap for decision in fresh)
    if at:
        taken = fresh[0].end_sample - before[-1].start - len(before[-1].samples)
        assert WINDOW <= taken < WINDOW + SHIFT


def test_what_the_new_one_decides_is_what_it_would_alone(ear: MakeEar) -> None:
    """Bit for bit: it hears units at the same places as one that began with them."""
    sound = noise(6 * WINDOW, seed=4)
    ears = ears_of(ear("old"))
    before, after = parts(sound, 400, 2 * WINDOW)
    hear(ears, before)
    ears.switch(ear("new", lof=True))
    switched = {d.end_sample: d for d, name in hear(ears, after) if name == "new"}
    alone = {d.end_sample: d for d, _ in hear(ears_of(ear("new")), blocks(sound))}
    assert switched
    for end_sample, decision in switched.items():
        expected = alone[end_sample]
        assert (decision.score, decision.p_value) == (expected.score, expected.p_value)


def test_another_unit_shift_leaves_no_gap_of_a_unit(ear: MakeEar) -> None:
    ears = ears_of(ear("old"))
    before, after = parts(noise(8 * WINDOW, seed=5), 400, 2 * WINDOW)
    told = hear(ears, before)
    ears.switch(ear("finer", FINER))
    told += hear(ears, after)
    assert told[-1][1] == "finer"
    ends = [decision.end_sample for decision, _ in told]
    steps = [now - before for before, now in pairwise(ends)]
    assert min(steps) > 0
    assert max(steps) <= SHIFT


def test_another_rate_takes_over_at_once_and_is_told(ear: MakeEar) -> None:
    ears = ears_of(ear("old"))
    hear(ears, blocks(noise(2 * WINDOW)))
    ears.switch(ear("faster", FASTER))
    assert ears.rate_hz == RATE_HZ
    ears.obey()
    assert ears.rate_hz == FASTER.rate_hz


def test_a_gap_in_between_is_a_gap_of_both(ear: MakeEar) -> None:
    ears = ears_of(ear("old"))
    before, after = parts(noise(8 * WINDOW, seed=6), 400, 2 * WINDOW)
    told = hear(ears, before)
    ears.switch(ear("new", lof=True))
    after[1] = replace(after[1], gap=True)
    told += hear(ears, after)
    fresh = [decision for decision, name in told if name == "new"]
    begins = after[1].start + len(after[1].samples)
    assert fresh[0].end_sample == begins + WINDOW
    assert not fresh[0].gap


def test_nothing_takes_over_while_nothing_is_heard(ear: MakeEar) -> None:
    ears = ears_of(ear("old"))
    hear(ears, blocks(noise(2 * WINDOW)))
    ears.switch(ear("new", lof=True))
    silence = np.zeros(5 * WINDOW, np.float32)
    told = hear(ears, blocks(silence, start=2 * WINDOW))
    assert {name for _, name in told} == {"old"}
    told = hear(ears, blocks(noise(3 * WINDOW), start=7 * WINDOW))
    assert told[-1][1] == "new"


def test_an_alarm_goes_on_through_a_switch(ear: MakeEar) -> None:
    ears = ears_of(ear("old"))
    sound = np.concatenate([noise(3 * WINDOW, 7), whine(9 * WINDOW, RATE_HZ, seed=8)])
    before, after = parts(sound, 400, 7 * WINDOW)
    assert hear(ears, before)[-1][0].state is State.ANOMALOUS
    ears.switch(ear("new", lof=True))
    told = hear(ears, after)
    assert {decision.state for decision, _ in told} == {State.ANOMALOUS}
    assert told[-1][1] == "new"


def test_an_alarm_of_the_old_one_alone_is_not_kept_for_ever(ear: MakeEar) -> None:
    ears = Ears(ear("old"), "pump", 2)
    sound = np.concatenate([noise(3 * WINDOW, 7), whine(3 * WINDOW, RATE_HZ, seed=8)])
    assert hear(ears, blocks(sound))[-1][0].state is State.ANOMALOUS
    ears.switch(ear("new", lof=True))
    told = hear(ears, blocks(noise(3 * WINDOW, 9), start=len(sound)))
    names = [name for _, name in told]
    first = names.index("new")
    assert told[first - 1][0].state is State.ANOMALOUS
    assert (told[first][0].windows, told[first][0].state) == (2, State.NORMAL)


class Breaks:
    """Lets an ear raise, from its so-manieth block on."""

    def __init__(self, ear: Ear, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._step, self._left = ear.step, at
        monkeypatch.setattr(ear, "step", self)

    def __call__(self, block: Block) -> list[Decision]:
        self._left -= 1
        if self._left < 0:
            raise FloatingPointError("underflow")
        return self._step(block)


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_new_one_that_fails_before_it_decides_is_never_heard_of(
    ear: MakeEar, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    ears = ears_of(ear("old"))
    before, after = parts(noise(8 * WINDOW, seed=10), 400, 2 * WINDOW)
    told = hear(ears, before)
    new = ear("new", lof=True)
    Breaks(new, at, monkeypatch)
    ears.switch(new)
    told += hear(ears, after)
    check_unbroken(told)
    assert {name for _, name in told} == {"old"}
    assert ears.watch.failure == "error"


def test_a_new_one_that_fails_while_it_decides_makes_room_for_the_old_one(
    ear: MakeEar, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ears = ears_of(ear("old"))
    before, after = parts(noise(12 * WINDOW, seed=11), 400, 2 * WINDOW)
    told = hear(ears, before)
    new = ear("new", lof=True)
    Breaks(new, 3 * WINDOW // 400, monkeypatch)
    ears.switch(new)
    told += hear(ears, after)
    names = [name for _, name in told]
    assert "new" in names
    back = len(names) - names[::-1].index("new")
    assert set(names[back:]) == {"old"}
    # There is a decision again after one unit, of a whole window after one window.
    lost = told[back][0].end_sample - told[back - 1][0].end_sample
    assert lost < SMALL.unit_samples + 2 * 400 + SHIFT
    whole = next(d for d, _ in told[back:] if not d.gap)
    assert whole.end_sample - told[back - 1][0].end_sample <= WINDOW + 2 * 400 + SHIFT
    assert ears.watch.failure == "error"
    assert "FloatingPointError" in caplog.text


def test_what_is_settled_has_nothing_to_go_back_to(
    ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears = ears_of(ear("old"))
    new = ear("new", lof=True)
    ears.switch(new)
    hear(ears, blocks(noise(3 * WINDOW)))
    assert ears.active is new
    ears.settle()
    ears.obey()
    Breaks(new, 0, monkeypatch)
    with pytest.raises(FloatingPointError):
        hear(ears, blocks(noise(WINDOW), start=3 * WINDOW))
    assert new.watch.failure == "error"


def test_it_can_be_settled_before_a_silent_source_has_switched(
    ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears = ears_of(ear("old"))
    new = ear("new", lof=True)
    ears.switch(new)
    ears.settle()
    hear(ears, blocks(noise(3 * WINDOW)))
    assert ears.active is new
    assert ears._kept is None


def test_going_back_takes_the_old_one_as_it_was(ear: MakeEar) -> None:
    old = ear("old")
    ears = ears_of(old)
    before, after = parts(noise(8 * WINDOW, seed=12), 400, 4 * WINDOW)
    ears.switch(ear("new", lof=True))
    hear(ears, before)
    ears.switch(old, at_once=True)
    told = hear(ears, after)
    assert {name for _, name in told} == {"old"}
    # It has missed sound, and says so.
    assert [d.gap for d, _ in told[:UNITS]] == [True] * (UNITS - 1) + [False]


def test_going_back_before_the_new_one_has_taken_over_changes_nothing(
    ear: MakeEar,
) -> None:
    old = ear("old")
    ears = ears_of(old)
    before, after = parts(noise(8 * WINDOW, seed=13), 400, 2 * WINDOW)
    told = hear(ears, before)
    ears.switch(ear("new", lof=True))
    told += hear(ears, after[:1])
    ears.switch(old, at_once=True)
    told += hear(ears, after[1:])
    check_unbroken(told)
    assert {name for _, name in told} == {"old"}


def test_of_two_switches_the_first_one_is_gone_back_to(
    ear: MakeEar, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, newest = ear("old"), ear("newest")
    ears = ears_of(old)
    sound = list(blocks(noise(12 * WINDOW, seed=14)))
    ears.switch(ear("new", lof=True))
    hear(ears, sound[:20])
    ears.switch(newest)
    hear(ears, sound[20:40])
    assert ears.active is newest
    Breaks(newest, 0, monkeypatch)
    told = hear(ears, sound[40:])
    assert {name for _, name in told} == {"old"}
    assert ears.active is old


def test_where_nothing_was_learnt_yet_the_new_one_begins_to_learn(
    ear: MakeEar,
) -> None:
    ears = ears_of(ear("old", learns=True))
    before, after = parts(noise(4 * WINDOW), 400, 2 * WINDOW)
    hear(ears, before)
    ears.switch(ear("new", learns=True))
    told = hear(ears, after)
    assert {name for _, name in told} == {"new"}
    assert {decision.state for decision, _ in told} == {State.LEARNING}


def test_what_knows_the_machine_relieves_what_still_learns(ear: MakeEar) -> None:
    ears = ears_of(ear("old", learns=True))
    before, after = parts(noise(6 * WINDOW), 400, 2 * WINDOW)
    hear(ears, before)
    ears.switch(ear("new"))
    told = hear(ears, after)
    assert {name for _, name in told} == {"new"}
    assert told[-1][0].state is State.NORMAL


def test_a_trial_sees_what_is_heard(ear: MakeEar) -> None:
    ears = ears_of(ear("old"))
    new = ear("new", lof=True)
    ears.switch(new)
    assert ears.watch is new.watch
    assert new.watch.stuck
    told = hear(ears, blocks(noise(10 * WINDOW)))
    assert not new.watch.stuck
    assert not new.watch.not_finite
    assert new.watch.reason(1) is None
    assert new.watch.windows == told[-1][0].windows > 20


def test_the_folder_of_an_ear_is_its_own(tmp_path: Path, ear: MakeEar) -> None:
    """What another ear learns is thrown away with it."""
    learner = ear("old", learns=True)
    ears = ears_of(learner)
    hear(ears, blocks(noise(2 * WINDOW)))
    ears.close()
    assert learner.learning
