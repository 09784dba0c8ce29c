"""p-values: valid where they are conformal, ordered, and one with the threshold."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asd_agent.scoring.calibration import Calibration

SCORES = st.lists(st.floats(0, 2, width=32), min_size=2, max_size=60)
MANY = st.integers(300, 600).map(
    lambda n: list(np.random.default_rng(n).gamma(2.0, 0.05, n))
)


def calibrated(scores: list[float]) -> Calibration:
    return Calibration().fit(np.array(scores))


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2, 0.5])
def test_a_normal_window_is_a_hit_as_often_as_promised(alpha: float) -> None:
    rng = np.random.default_rng(0)
    trials, n = 4000, 99
    hits = 0
    for _ in range(trials):
        scores = rng.gamma(2.0, 0.05, n + 1)
        hits += Calibration().fit(scores[:n]).p_value(scores[n]) <= alpha
    spread = 4 * np.sqrt(alpha * (1 - alpha) / trials)
    assert abs(hits / trials - alpha) < spread


DRAWS: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "exponential": lambda rng, size: rng.exponential(0.05, size),
    "gamma": lambda rng, size: rng.gamma(2.0, 0.05, size),
    "uniform": lambda rng, size: rng.uniform(0, 0.1, size),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("n", [30, 400])
def test_the_extrapolated_tail_keeps_its_promise(name: str, n: int) -> None:
    rng, draw = np.random.default_rng(1), DRAWS[name]
    alpha, hits, trials = 0.2 / n, 0, 300
    for _ in range(trials):
        threshold = Calibration().fit(draw(rng, n)).threshold(alpha)
        hits += int((draw(rng, 2000) > threshold).sum())
    assert hits / (trials * 2000) < 1.5 * alpha


@settings(max_examples=80)
@given(SCORES | MANY, st.lists(st.floats(-1, 4), min_size=2, max_size=20))
def test_a_higher_score_is_never_more_normal(
    scores: list[float], asked: list[float]
) -> None:
    calibration = calibrated(scores)
    rising = sorted(asked + scores)
    p_values = [calibration.p_value(score) for score in rising]
    assert all(a >= b for a, b in pairwise(p_values))
    assert all(0 < p <= 1 for p in p_values)


@settings(max_examples=120)
@given(SCORES | MANY, st.floats(1e-9, 0.999))
def test_the_threshold_is_where_the_p_value_crosses(
    scores: list[float], p: float
) -> None:
    calibration = calibrated(scores)
    threshold = calibration.threshold(p)
    above = threshold + 1e-9 * max(1, abs(threshold))
    assert calibration.p_value(above) <= p * (1 + 1e-6)
    assert calibration.p_value(threshold) > p * (1 - 1e-6)
    assert calibration.p_value(threshold - 1e-9) > p * (1 - 1e-6)


def test_p_values_worked_out_by_hand() -> None:
    calibration = calibrated([0.4, 0.1, 0.3, 0.2])
    assert calibration.resolution == 1 / 5
    assert calibration.p_value(0.05) == 1
    assert calibration.p_value(0.1) == 1
    assert calibration.p_value(0.25) == 3 / 5
    assert calibration.p_value(0.4) == 2 / 5
    assert calibration.p_value(0.4 + 1e-12) <= 1 / 5
    assert calibration.threshold(0.4) == 0.3
    assert calibration.threshold(0.2) == 0.4
    assert calibration.threshold(0.19) >= 0.4


@given(st.floats(0, 2, width=32), st.floats(0, 2, width=32))
def test_two_scores_are_enough(one: float, other: float) -> None:
    calibration = calibrated([one, other])
    assert calibration.resolution == 1 / 3
    assert calibration.p_value(min(one, other)) == 1
    far = calibration.threshold(1e-6)
    assert np.isfinite(far)
    assert calibration.p_value(far + 1) < 1e-6


def test_scores_that_are_all_equal_still_have_a_threshold() -> None:
    calibration = calibrated([0.25] * 50)
    assert calibration.p_value(0.25) == 1
    assert calibration.p_value(0.3) < 1 / 51
    far = calibration.threshold(1e-4)
    assert 0.25 < far < 0.3
    assert calibrated([0.0, 0.0]).p_value(0.0) == 1


def test_beyond_the_scores_the_tail_goes_on_without_a_jump() -> None:
    scores = np.random.default_rng(2).exponential(0.1, 500)
    calibration = Calibration().fit(scores)
    top = scores.max()
    assert calibration.p_value(top + 1e-9) <= calibration.resolution
    p_values = [calibration.p_value(top + x) for x in np.linspace(1e-9, 1, 50)]
    assert all(a > b > 0 for a, b in pairwise(p_values[1:]))
    # An exponential tail of scale 0.1, where 1e-4 lies at 0.92.
    assert 0.7 < calibration.threshold(1e-4) < 1.5


@pytest.mark.parametrize("scores", [[], [0.1]])
def test_fewer_than_two_scores_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 2 scores"):
        calibrated(scores)


def test_order_and_type_of_the_scores_do_not_matter() -> None:
    scores = np.random.default_rng(3).gamma(2, 0.1, 40).astype(np.float32)
    one = Calibration().fit(scores)
    other = Calibration().fit(scores[::-1].astype(np.float64))
    assert one.threshold(1e-3) == other.threshold(1e-3)


def test_the_floor_is_that_of_the_detectors_own_scale() -> None:
    for floor in (1e-4, 1e-3, 1.0):
        calibration = Calibration(floor).fit(np.full(50, 7.0))
        # Ten scores of the tail are its start: ten of 51, and Pareto of shape 1/10.
        p_value = calibration.p_value(7 + 5 * floor)
        assert p_value == pytest.approx(10 / 51 * 1.5**-10)
        assert calibration.threshold(p_value) == pytest.approx(7 + 5 * floor)


def test_scores_may_be_negative() -> None:
    calibration = calibrated([-3.0, -2.0, -1.0])
    assert calibration.threshold(0.5) == -2
    assert calibration.p_value(-2) == 3 / 4
    assert calibration.threshold(0.999_999_999_999) == -3


def test_a_known_tail_is_exponential() -> None:
    scores = np.random.default_rng(5).exponential(0.4, 200)
    calibration = Calibration(0.4, most=0.4).fit(scores)
    top = scores.max()
    ratio = calibration.p_value(top + 1) / calibration.p_value(top + 2)
    assert ratio == pytest.approx(np.exp(1 / 0.4), rel=1e-3)
    assert calibration.p_value(calibration.threshold(1e-9)) == pytest.approx(1e-9)
