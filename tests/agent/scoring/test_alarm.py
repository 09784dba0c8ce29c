"""k of n with hysteresis, and whether the budget holds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.scoring.alarm import WEEK_S, Alarm, AlarmRule

DEFAULT = AlarmRule(3, 5, 0, 10)
RULES = st.integers(1, 20).flatmap(
    lambda n: st.builds(
        AlarmRule, st.integers(1, n), st.just(n), st.just(0), st.just(n)
    )
)


def states(rule: AlarmRule, hits: str) -> str:
    """What the alarm says after each window: ``x`` is a hit, ``!`` an alarm."""
    alarm = Alarm(rule)
    return "".join("!" if alarm.update(hit == "x") else "." for hit in hits)


@pytest.mark.parametrize(
    ("rule", "hits", "expected"),
    [
        ("3/5 0/10", "xx.x......", "...!!!!!!!"),
        ("3/5 0/10", "xx...x....", ".........."),
        ("3/5 0/10", "x.x.x.....", "....!!!!!!"),
        # Cleared when the last hit has left the last ten.
        ("3/5 0/10", "xxx" + 11 * ".", "..!!!!!!!!!!.."),
        ("3/5 0/10", "xxx" + 9 * "." + "x" + 10 * ".", "..!!!!!!!!!!!!!!!!!!!!."),
        ("3/5 1/6", "xxx......", "..!!!!!.."),
        ("1/1 0/1", ".x.x.", ".!.!."),
        ("1/1 0/3", "x......", "!!!...."),
        ("2/2 0/2", "xx.x..xx", ".!!!!..!"),
    ],
)
def test_an_alarm_is_raised_and_cleared(rule: str, hits: str, expected: str) -> None:
    numbers = [int(n) for part in rule.split() for n in part.split("/")]
    assert states(AlarmRule(*numbers), hits) == expected


@given(st.text("x.", max_size=60))
def test_an_alarm_does_not_flicker(hits: str) -> None:
    found = states(DEFAULT, hits)
    for at, (before, now) in enumerate(zip("." + found, found, strict=False)):
        window = hits[: at + 1]
        if (before, now) == (".", "!"):
            assert window[-5:].count("x") >= 3
        if (before, now) == ("!", "."):
            assert window[-10:].count("x") == 0
        if (before, now) == (".", "."):
            assert window[-5:].count("x") < 3


@given(RULES, st.floats(0.01, 1000), st.floats(1.01, 100), st.floats(0.1, 60))
def test_a_larger_budget_never_lowers_alpha(
    rule: AlarmRule, per_week: float, factor: float, step_s: float
) -> None:
    assert rule.alpha(per_week, step_s) <= rule.alpha(per_week * factor, step_s)


@given(RULES, st.floats(0.01, 1000), st.floats(0.1, 60))
def test_alpha_uses_the_budget_up(
    rule: AlarmRule, per_week: float, step_s: float
) -> None:
    alpha = rule.alpha(per_week, step_s)
    assert rule.alarms_per_week(alpha, step_s) <= per_week
    if 1e-11 < alpha < 0.499:
        assert rule.alarms_per_week(alpha, step_s) == pytest.approx(per_week, rel=1e-6)


def test_alarms_a_week_worked_out_by_hand() -> None:
    # 3 of 5 windows hold at least 2 of the 3 in one of two rows that do not overlap.
    p, step_s = 0.01, 4.608
    two_of_three = 3 * p**2 * (1 - p) + p**3
    expected = 2 * two_of_three * WEEK_S / step_s
    assert DEFAULT.alarms_per_week(p, step_s) == pytest.approx(expected)
    assert DEFAULT.alpha(1.0, step_s) == pytest.approx(1.1275e-3, rel=1e-3)


@pytest.mark.parametrize(
    "rule", [DEFAULT, AlarmRule(1, 1, 0, 4), AlarmRule(2, 3, 0, 6)]
)
def test_windows_that_overlap_by_half_keep_to_the_budget(rule: AlarmRule) -> None:
    rng = np.random.default_rng(0)
    step_s, per_week, windows = 30.0, 40.0, 400_000
    halves = rng.normal(size=windows + 1)
    z = (halves[1:] + halves[:-1]) / math.sqrt(2)
    alpha = rule.alpha(per_week, step_s)
    hits = z > _upper_quantile(alpha)
    assert hits.mean() == pytest.approx(alpha, rel=0.15)
    alarm, raised, was_on = Alarm(rule), 0, False
    for hit in hits.tolist():
        is_on = alarm.update(hit)
        raised += is_on and not was_on
        was_on = is_on
    weeks = windows * step_s / WEEK_S
    assert raised > 0
    assert raised / weeks <= per_week * (1 + 3 / math.sqrt(per_week * weeks))


def _upper_quantile(p: float) -> float:
    """Where a standard normal variable is exceeded with probability `p`."""
    low, high = -10.0, 10.0
    for _ in range(80):
        middle = (low + high) / 2
        if math.erfc(middle / math.sqrt(2)) / 2 > p:
            low = middle
        else:
            high = middle
    return low
