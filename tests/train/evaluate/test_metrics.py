"""Figures of merit against scikit-learn, scipy and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hmean  # type: ignore[import-untyped]  # it has no stubs
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from asd_train.evaluate.metrics import (
    FLOOR,
    Scores,
    Truth,
    arithmetic,
    auc,
    decided,
    f1_ev,
    harmonic,
    partial_auc,
)

Sample = tuple[Truth, Scores]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Truth and scores of a few clips, both kinds, with ties."""
    n = draw(st.integers(2, 30))
    marks = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    marks[0], marks[1] = True, False
    values = draw(st.lists(st.integers(-20, 20), min_size=n, max_size=n))
    return np.array(marks), np.array(values, np.float64) / 4


@given(samples())
def test_auc_is_a_rank_statistic(sample: Sample) -> None:
    truth, scores = sample
    found = auc(truth, scores)
    wins = np.sign(scores[truth][:, None] - scores[~truth][None])
    assert found == pytest.approx((wins.mean() + 1) / 2)
    assert auc(truth, np.exp(scores)) == found
    assert auc(~truth, scores) == pytest.approx(1 - (found or 0))
    assert partial_auc(truth, 3 * scores + 1) == partial_auc(truth, scores)


def test_partial_auc_is_standardised() -> None:
    truth = np.arange(40) >= 20
    assert partial_auc(truth, truth.astype(float)) == 1
    assert partial_auc(truth, np.zeros(40)) == pytest.approx(0.5)
    scores = np.random.default_rng(0).normal(size=40) + truth
    expected = roc_auc_score(truth, scores, max_fpr=0.1)
    assert partial_auc(truth, scores) == pytest.approx(expected)


@given(samples(), st.floats(-6, 6))
def test_decisions_are_counted_as_scikit_learn_does(
    sample: Sample, threshold: float
) -> None:
    truth, scores = sample
    called = scores > threshold
    found = decided(truth, called)
    assert found is not None
    for value, reference in (
        (found.precision, precision_score),
        (found.recall, recall_score),
        (found.f1, f1_score),
    ):
        assert value == pytest.approx(reference(truth, called, zero_division=0))


@settings(max_examples=25)
@given(samples())
def test_f1_ev_is_the_mean_over_thresholds(sample: Sample) -> None:
    truth, scores = sample
    found = f1_ev(truth, scores)
    low, high = scores.min(), scores.max()
    if low == high:
        assert found is None
        return
    # The scores lie on quarters, so the middle of each eighth is in one step alone.
    grid = np.arange(low, high, 0.25) + 0.125
    values = [f1_score(truth, scores > threshold) for threshold in grid]
    assert found == pytest.approx(np.mean(values))
    assert f1_ev(truth, 2 * scores - 3) == pytest.approx(found)


def test_f1_ev_sees_the_margin_that_auc_does_not() -> None:
    truth = np.array([False, False, True, True])
    close, apart = np.array([0.0, 0.9, 0.95, 1]), np.array([0.0, 0.1, 0.9, 1])
    assert auc(truth, close) == auc(truth, apart) == 1
    assert (f1_ev(truth, apart) or 0) > (f1_ev(truth, close) or 1)
    # Thresholds under 0.1 catch one normal clip, those over 0.9 miss one anomaly.
    assert f1_ev(truth, apart) == pytest.approx(0.1 * 0.8 + 0.8 * 1 + 0.1 * 2 / 3)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_without_both_kinds_nothing_is_defined(truth: list[bool]) -> None:
    marks, scores = np.array(truth), np.array([0.1, 0.2])
    assert auc(marks, scores) is None
    assert partial_auc(marks, scores) is None
    assert f1_ev(marks, scores) is None
    assert decided(marks, marks) is None


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=9))
def test_means_are_those_of_scipy(values: list[float]) -> None:
    wide = np.array(values)
    assert harmonic(wide) == pytest.approx(hmean(wide))
    assert arithmetic(wide) == pytest.approx(np.mean(values))
    columns = np.stack([wide, wide[::-1]], axis=1)
    assert harmonic(columns) == pytest.approx(hmean(columns, axis=0))


def test_a_zero_is_floored_as_the_evaluators_do() -> None:
    expected = hmean(np.maximum([0.0, 0.8], FLOOR))
    assert harmonic(np.array([0.0, 0.8])) == pytest.approx(expected)
