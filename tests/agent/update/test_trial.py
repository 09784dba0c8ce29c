"""A bundle on trial stays for what it does well, and goes for what it does not."""

from dataclasses import replace

import pytest

from asd_agent.scoring.decision import Decision
from asd_agent.update.trial import MAX_OVERRUNS, STEPS, Verdict, Watch, judge
from support.decisions import NORMAL, UNSCORED

SHIFT_S = 0.5
QUICK_S = 0.01


def window(number: int, score: float | None = 0.1) -> Decision:
    return replace(NORMAL, windows=number, score=score)


def watch(*, varied: bool = True) -> Watch:
    found = Watch(SHIFT_S)
    if varied:
        found.heard(0, stuck=False)
    return found


def healthy(windows: int) -> Watch:
    found = watch()
    for number in range(1, windows + 1):
        # Two units a counted window.
        found.step([window(number)], QUICK_S)
        found.step([window(number)], QUICK_S)
    return found


def test_healthy_windows_commit() -> None:
    assert judge([healthy(4)], 5) == Verdict("wait", 4)
    assert judge([healthy(5)], 5) == Verdict("commit", 5)


def test_windows_of_all_sources_count() -> None:
    assert judge([healthy(2), healthy(3)], 5) == Verdict("commit", 5)


def test_windows_after_a_gap_count_on() -> None:
    found = healthy(3)
    found.step([replace(UNSCORED, score=None)], QUICK_S)
    found.step([window(0)], QUICK_S)
    found.step([window(1)], QUICK_S)
    assert found.windows == 4


def test_a_source_without_sound_does_not_hinder() -> None:
    silent = Watch(SHIFT_S)
    for _ in range(100):
        silent.step([UNSCORED], QUICK_S)
    assert judge([silent, healthy(5)], 5).end == "commit"


def test_without_any_sound_nothing_is_decided() -> None:
    silent = Watch(SHIFT_S)
    for _ in range(1000):
        silent.step([UNSCORED], QUICK_S)
    assert judge([silent], 1) == Verdict("wait", 0)
    assert judge([], 1) == Verdict("wait", 0)


def test_a_single_value_that_is_not_finite_is_too_much() -> None:
    broken = healthy(100)
    broken.heard(1, stuck=False)
    assert judge([healthy(100), broken], 5) == Verdict("roll_back", 200, "not_finite")


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_not_finite_is_too_much(score: float) -> None:
    broken = healthy(3)
    broken.step([window(4, score)], QUICK_S)
    assert broken.windows == 3
    assert judge([broken], 3).reason == "not_finite"


def test_one_vector_for_everything_is_too_little() -> None:
    stuck = watch(varied=False)
    for number in range(1, 5):
        stuck.step([window(number)], QUICK_S)
    assert judge([stuck], 5) == Verdict("wait", 0)
    stuck.step([window(5)], QUICK_S)
    assert judge([stuck], 5) == Verdict("roll_back", 0, "identical")


def test_a_source_that_is_stuck_so_far_is_waited_for() -> None:
    stuck = watch(varied=False)
    stuck.step([window(1)], QUICK_S)
    assert judge([stuck, healthy(9)], 5).end == "wait"
    stuck.heard(0, stuck=False)
    assert judge([stuck, healthy(9)], 5) == Verdict("commit", 10)


def test_steps_that_take_longer_than_the_sound_are_too_slow() -> None:
    slow = watch()
    for number in range(1, STEPS):
        slow.step([window(number)], 0.6)
    assert judge([slow], 10**6).end == "wait"
    slow.step([window(STEPS)], 0.6)
    assert judge([slow], 10**6).reason == "too_slow"


def test_blocks_that_complete_no_unit_count_to_the_next_one() -> None:
    slow = watch()
    for number in range(1, STEPS + 1):
        for _ in range(3):
            slow.step([], 0.15)
        slow.step([window(number)], 0.15)
    assert slow.slow


def test_a_block_of_many_units_may_take_long() -> None:
    found = watch()
    for number in range(1, 2 * STEPS):
        found.step([window(number)] * 4, 1.9)
    assert not found.slow


def test_now_and_then_a_step_may_take_long() -> None:
    found = watch()
    for number in range(10 * STEPS):
        found.step([window(number)], 5.0 if number % 3 == 0 else QUICK_S)
        assert not found.slow


def test_sound_that_is_lost_over_and_over_is_too_slow() -> None:
    lossy = healthy(3)
    lossy.overruns = MAX_OVERRUNS - 1
    assert judge([lossy], 100).end == "wait"
    lossy.overruns = MAX_OVERRUNS
    assert judge([lossy], 100).reason == "too_slow"


def test_an_exception_counts_whatever_was_heard() -> None:
    failed = healthy(100)
    failed.failure = "error"
    assert judge([healthy(100), failed], 5).reason == "error"
