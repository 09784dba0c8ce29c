"""One source from samples to states: gaps, silence, clipping, alarms, members."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Block, Samples
from asd_agent.judge import window_step
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.scoring.decision import Decision, State
from support.bundles import SMALL, forge
from support.sounds import blocks, learnt, noise, opened, whine

RATE_HZ = SMALL.rate_hz
SPAN, SHIFT = SMALL.unit_samples, SMALL.shift_samples
UNITS = 6
WINDOW = SPAN + (UNITS - 1) * SHIFT
RULE = AlarmRule(2, 3, 0, 3)

Fitted = tuple[list[Member], Site]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    members = opened(forge(tmp_path_factory.mktemp("pipeline") / "bundle"))
    return members, learnt(members, noise(120_000, seed=1))


def pipeline(fitted: Fitted, per_week: float = 1.0) -> Pipeline:
    return Pipeline(*fitted, RULE, per_week)


def run(pipe: Pipeline, some: Iterable[Block]) -> list[Decision]:
    return [decision for block in some for decision in pipe.step(block)]


def hear(pipe: Pipeline, sound: Samples, start: int = 0) -> list[Decision]:
    return run(pipe, blocks(sound, start=start))


def silence(samples: int) -> Samples:
    return np.zeros(samples, np.float32)


def test_a_decision_for_each_unit_and_a_state_for_each_whole_window(
    fitted: Fitted,
) -> None:
    found = hear(pipeline(fitted), noise(WINDOW + 6 * SHIFT, seed=2))
    assert [d.end_sample for d in found] == [SPAN + i * SHIFT for i in range(12)]
    assert [d.state for d in found[:5]] == [State.LEARNING] * 5
    assert {d.state for d in found[5:]} == {State.NORMAL}
    assert [d.changed for d in found].index(True) == 5
    assert sum(d.changed for d in found) == 1
    assert [d.gap for d in found] == [True] * 5 + [False] * 7
    assert [d.windows for d in found] == [0] * 5 + [1] * 3 + [2] * 3 + [3]
    assert found[0].window_samples == SPAN
    assert {d.window_samples for d in found[5:]} == {WINDOW}
    for d in found:
        assert d.score is not None
        assert d.p_value is not None
        assert d.event is None
        assert d.spectrum is not None
        assert d.level_dbfs == pytest.approx(-20, abs=1)


def test_the_counter_goes_on_from_where_the_sound_starts(fitted: Fitted) -> None:
    found = hear(pipeline(fitted), noise(WINDOW), start=12_345)
    assert found[0].end_sample == 12_345 + SPAN
    assert not found[-1].gap


def test_a_gap_begins_a_new_window(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    before = hear(pipe, noise(WINDOW + SHIFT, seed=3))
    start = 2 * WINDOW
    sound = noise(WINDOW, seed=4)
    gap = Block(noise(SHIFT), start - SHIFT, gap=True)
    after = run(pipe, [gap, *blocks(sound, start=start)])
    assert not before[-1].gap
    assert [d.gap for d in after] == [True] * 5 + [False]
    assert [d.windows for d in after] == [0] * 5 + [1]
    assert after[0].end_sample == start + SPAN
    alone = hear(pipeline(fitted), sound)
    assert [d.score for d in after] == [d.score for d in alone]


def test_digital_silence_is_never_normal(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    assert hear(pipe, noise(WINDOW))[-1].state is State.NORMAL
    # No window that counts ends with a unit that is silent in part.
    start = WINDOW
    quiet = hear(pipe, silence(3 * WINDOW), start=start)
    dead = [d for d in quiet if d.end_sample - SPAN >= start]
    assert len(dead) > 20
    for d in dead:
        assert d.state is State.NO_SIGNAL
        assert (d.score, d.threshold, d.p_value) == (None, None, None)
        assert (d.event, d.spectrum, d.windows) == (None, None, 0)
        assert d.gap
    assert sum(d.changed for d in quiet) == 1
    again = hear(pipe, noise(2 * WINDOW), start=start + 3 * WINDOW)
    whole = [d.state for d in again if not d.gap]
    assert {d.state for d in again if d.gap} == {State.NO_SIGNAL}
    assert set(whole) == {State.NORMAL}


def test_a_stuck_value_is_silence(fitted: Fitted) -> None:
    stuck = np.full(2 * WINDOW, 0.3, np.float32)
    assert {d.state for d in hear(pipeline(fitted), stuck)} == {State.NO_SIGNAL}


def test_silence_from_the_start_is_not_learning(fitted: Fitted) -> None:
    (first, *_) = hear(pipeline(fitted), silence(WINDOW))
    assert first.state is State.NO_SIGNAL
    assert first.changed


def test_clipped_sound_is_suspect_and_not_normal(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    sound = noise(3 * WINDOW, seed=5)
    some = [replace(block, clipped=block.start == 2000) for block in blocks(sound)]
    found = run(pipe, some)
    reached = [d for d in found if d.end_sample > 2400 and d.end_sample - WINDOW < 2400]
    counted = [
        d for d, e in zip(found[1:], found, strict=False) if d.windows > e.windows
    ]
    assert State.MIC_SUSPECT in {d.state for d in found}
    for d in reached:
        if d in counted:
            assert d.state is State.MIC_SUSPECT
    assert found[-1].state is State.NORMAL
    assert not pipe.clipped


def test_an_anomaly_stays_one_when_it_clips(fitted: Fitted) -> None:
    sound = whine(4 * WINDOW, RATE_HZ, seed=6)
    some = [replace(block, clipped=True) for block in blocks(sound)]
    found = run(pipeline(fitted), some)
    assert found[-1].state is State.ANOMALOUS
    assert State.NORMAL not in {d.state for d in found}


def test_an_alarm_from_its_first_window_to_its_last(fitted: Fitted) -> None:
    pipe = pipeline(fitted, per_week=1000.0)
    sound = [
        noise(2 * WINDOW, seed=7),
        whine(4 * WINDOW, RATE_HZ, hz=700, seed=8),
        noise(4 * WINDOW, seed=9),
    ]
    found = hear(pipe, np.concatenate(sound))
    changes = [(d.state, d.end_sample) for d in found if d.changed]
    assert [state for state, _ in changes] == [
        State.NORMAL,
        State.ANOMALOUS,
        State.NORMAL,
    ]
    raised, cleared = changes[1][1], changes[2][1]
    assert 2 * WINDOW < raised < 4 * WINDOW
    # The last of three windows starts at most one and a half after the sound is well.
    assert 6 * WINDOW < cleared < 6 * WINDOW + 3 * WINDOW
    highest = 0.0
    for d in found:
        if d.state is not State.ANOMALOUS:
            assert d.event is None
            continue
        assert d.event is not None
        assert d.event.since_sample == raised
        highest = max(highest, d.score or 0)
        assert d.event.score_max == highest
        assert d.event.explanation.nearest_id.startswith("bank-")
        band = d.event.explanation.bands[0]
        assert band.lo_hz <= 700 <= band.hi_hz
        assert band.delta_db > 3
    assert highest > 0


def test_a_second_alarm_is_a_new_event(fitted: Fitted) -> None:
    bad, good = whine(3 * WINDOW, RATE_HZ), noise(4 * WINDOW, seed=10)
    found = hear(pipeline(fitted), np.concatenate([good, bad, good, bad]))
    events = {d.event.since_sample for d in found if d.event}
    assert len(events) == 2


def test_an_alarm_outlasts_silence(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    bad = whine(3 * WINDOW, RATE_HZ)
    before = hear(pipe, bad)[-1]
    hear(pipe, silence(2 * WINDOW), start=3 * WINDOW)
    after = hear(pipe, bad, start=5 * WINDOW)[-1]
    assert before.event is not None
    assert after.event is not None
    assert after.event.since_sample == before.event.since_sample


def test_what_counts_is_what_lies_over_the_threshold(fitted: Fitted) -> None:
    pipe = pipeline(fitted, per_week=10_000.0)
    sound = np.concatenate([noise(3 * WINDOW), whine(2 * WINDOW, RATE_HZ, seed=3)])
    found = hear(pipe, sound)
    for d in found:
        assert d.score is not None
        assert d.threshold is not None
        assert d.p_value is not None
        assert (d.score > d.threshold) == (d.p_value <= pipe.alpha)
    assert {d.score > d.threshold for d in found if d.score and d.threshold} == {
        True,
        False,
    }


def test_members_that_are_alike_decide_as_one_would(
    fitted: Fitted, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("two") / "bundle"
    members = opened(forge(folder, members=2))
    site = learnt(members, noise(120_000, seed=1))
    sound = noise(3 * WINDOW, seed=11)
    one = hear(pipeline(fitted), sound)
    two = hear(Pipeline(members, site, RULE, 1.0), sound)
    scores = site.members["member-1"].scores
    for past, (alone, both) in enumerate(zip(one, two, strict=True), start=1):
        n = np.isfinite(scores[:, min(past, UNITS) - 1]).sum()
        assert alone.p_value is not None
        assert both.score == pytest.approx(-np.log10(alone.p_value))
        # Where nothing is extrapolated the second opinion costs nothing.
        if alone.p_value > 1 / (n + 1):
            assert both.p_value == alone.p_value


def test_the_member_that_finds_it_least_normal_speaks(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("differ") / "bundle"
    members = opened(forge(folder, members=2))
    site = learnt(members, noise(60_000, seed=1))
    # The second member has heard only far worse: nothing surprises it.
    known = site.members["member-1"]
    lenient = replace(known, scores=known.scores + np.float32(1))
    both = replace(site, members=site.members | {"member-1": lenient})
    found = hear(Pipeline(members, both, RULE, 1000.0), whine(3 * WINDOW, RATE_HZ))
    assert found[-1].state is State.ANOMALOUS


def test_after_a_gap_nothing_is_normal_until_a_window_is_whole(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    assert hear(pipe, noise(WINDOW))[-1].state is State.NORMAL
    first, *rest = blocks(noise(2 * WINDOW, seed=2), start=2 * WINDOW)
    after = run(pipe, [replace(first, gap=True), *rest])
    assert {d.state for d in after if d.gap} == {State.NO_SIGNAL}
    assert {d.reason for d in after if d.gap} == {"gap"}
    assert {(d.state, d.reason) for d in after if not d.gap} == {(State.NORMAL, "")}


def test_an_alarm_outlasts_a_gap(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    assert hear(pipe, whine(3 * WINDOW, RATE_HZ))[-1].state is State.ANOMALOUS
    first, *rest = blocks(whine(WINDOW, RATE_HZ, seed=4), start=5 * WINDOW)
    after = run(pipe, [replace(first, gap=True), *rest])
    assert {d.state for d in after} == {State.ANOMALOUS}


@pytest.mark.parametrize(
    ("level", "reason"), [(0.0, "silence"), (0.3, "stuck"), (-0.9, "stuck")]
)
def test_why_nothing_is_heard_is_said(
    fitted: Fitted, level: float, reason: str
) -> None:
    constant = np.full(WINDOW, level, np.float32)
    assert {d.reason for d in hear(pipeline(fitted), constant)} == {reason}


def test_distorted_sound_is_suspect_at_once_and_no_longer_than_it_lasts(
    fitted: Fitted,
) -> None:
    pipe = pipeline(fitted)
    assert hear(pipe, noise(2 * WINDOW, seed=5))[-1].state is State.NORMAL
    start = 2 * WINDOW
    clipped = [
        replace(block, clipped=True) for block in blocks(noise(SPAN, 6), start=start)
    ]
    found = run(pipe, clipped)
    assert (found[-1].state, found[-1].reason) == (State.MIC_SUSPECT, "clipped")
    after = hear(pipe, noise(3 * WINDOW, seed=7), start=start + SPAN)
    suspect = [d for d in after if d.state is State.MIC_SUSPECT]
    # As long as a window holds a unit that overlaps what was clipped.
    last = start + SPAN + WINDOW
    assert last - SHIFT <= suspect[-1].end_sample <= last + SHIFT
    assert after[-1].state is State.NORMAL


@pytest.mark.parametrize("flaw", ["rate", "narrow"])
def test_a_source_that_is_not_to_be_trusted_is_never_normal_nor_anomalous(
    fitted: Fitted, flaw: str
) -> None:
    sound = np.concatenate([noise(2 * WINDOW, 5), whine(4 * WINDOW, RATE_HZ, seed=6)])
    some = [replace(block, flaw=flaw) for block in blocks(sound)]
    found = run(pipeline(fitted), some)
    assert {d.state for d in found if not d.gap} == {State.MIC_SUSPECT}
    assert {d.reason for d in found if not d.gap} == {flaw}
    assert State.NORMAL not in {d.state for d in found}
    assert all(d.event is None for d in found)


def test_a_microphone_that_is_covered_raises_no_alarm(fitted: Fitted) -> None:
    pipe = pipeline(fitted)
    hear(pipe, noise(2 * WINDOW, seed=5))
    faint = noise(4 * WINDOW, seed=6) * np.float32(0.02)
    found = hear(pipe, faint, start=2 * WINDOW)
    assert (found[-1].state, found[-1].reason) == (State.MIC_SUSPECT, "quiet")
    assert State.ANOMALOUS not in {d.state for d in found}
    after = hear(pipe, noise(4 * WINDOW, seed=7), start=6 * WINDOW)
    assert (after[-1].state, after[-1].reason) == (State.NORMAL, "")


def test_a_wider_hop_hears_as_long_a_window_in_fewer_units(fitted: Fitted) -> None:
    pipe = pipeline(fitted, per_week=1000.0)
    hear(pipe, noise(2 * WINDOW, seed=5))
    pipe.widen(2)
    found = hear(pipe, noise(4 * WINDOW, seed=6), start=2 * WINDOW)
    ends = [d.end_sample for d in found]
    assert set(np.diff(ends)) == {2 * SHIFT}
    assert [d.gap for d in found[:4]] == [True, True, False, False]
    assert found[-1].window_samples == SPAN + 4 * SHIFT
    assert found[-1].state is State.NORMAL
    bad = hear(pipe, whine(6 * WINDOW, RATE_HZ, seed=8), start=6 * WINDOW)
    assert bad[-1].state is State.ANOMALOUS
    pipe.widen(1)
    again = hear(pipe, noise(6 * WINDOW, seed=9), start=12 * WINDOW)
    assert set(np.diff([d.end_sample for d in again])) == {SHIFT}
    assert again[-1].state is State.NORMAL
    assert again[-1].window_samples == WINDOW


@pytest.mark.parametrize(("units", "step"), [(1, 1), (2, 1), (6, 3), (17, 8), (18, 9)])
def test_windows_are_counted_twice_a_length(units: int, step: int) -> None:
    assert window_step(units) == step
