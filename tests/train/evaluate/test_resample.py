"""Resampled areas against scikit-learn on clips that are really repeated."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from asd_train.evaluate.resample import areas, draw, interval


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_those_of_the_drawn_clips(ties: bool) -> None:
    rng = np.random.default_rng(4)
    truth = rng.uniform(size=37) < 0.4
    scores = rng.normal(size=37) + 0.5 * truth
    scores = scores.round(1) if ties else scores
    counts = draw(truth.astype(np.int64), 25, rng)
    full, part = areas(truth, scores, counts), areas(truth, scores, counts, 0.1)
    for row, times in enumerate(counts):
        t, s = np.repeat(truth, times), np.repeat(scores, times)
        assert full[row] == pytest.approx(roc_auc_score(t, s))
        assert part[row] == pytest.approx(roc_auc_score(t, s, max_fpr=0.1))


def test_each_stratum_keeps_its_number() -> None:
    strata = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    counts = draw(strata, 50, np.random.default_rng(0))
    for stratum in range(3):
        assert (
            counts[:, strata == stratum].sum(axis=1) == (strata == stratum).sum()
        ).all()
    again = draw(strata, 50, np.random.default_rng(0))
    assert (counts == again).all()
    assert (counts[:, 3] == 1).all()
    assert len(np.unique(counts, axis=0)) > 10


def test_an_interval_holds_95_percent() -> None:
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))


def test_an_interval_is_as_wide_as_the_theory_says() -> None:
    # Hanley and McNeil, Radiology 143, 1982, equation 1, with exponential Q1, Q2.
    rng = np.random.default_rng(1)
    truth = np.arange(400) >= 200
    scores = rng.normal(size=400) + truth
    found = areas(truth, scores, draw(truth.astype(np.int64), 1000, rng))
    a = float(roc_auc_score(truth, scores))
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    variance = (a * (1 - a) + 199 * (q1 - a * a) + 199 * (q2 - a * a)) / 200**2
    low, high = interval(found)
    assert low < a < high
    assert high - low == pytest.approx(2 * 1.96 * variance**0.5, rel=0.15)
