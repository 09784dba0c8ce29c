"""The threshold against the distribution that the scores are drawn from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gamma  # type: ignore[import-untyped]  # it has no stubs

from asd_train.evaluate.threshold import gamma_threshold


def test_it_is_the_90th_percentile_of_the_source() -> None:
    law = gamma(3, scale=0.02)
    scores = law.rvs(size=4000, random_state=1)
    assert gamma_threshold(scores) == pytest.approx(law.ppf(0.9), rel=0.03)
    assert gamma_threshold(10 * scores) == pytest.approx(10 * gamma_threshold(scores))


def test_scores_below_zero_have_one_too() -> None:
    scores = np.random.default_rng(2).normal(size=3000)
    assert (scores > gamma_threshold(scores)).mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("scores", [[0.3], [0.1, 0.3], [0.3, 0.3, 0.3], [0.3, np.nan]])
def test_too_few_have_the_highest(scores: list[float]) -> None:
    assert gamma_threshold(np.array(scores)) == 0.3


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30))
def test_it_is_always_a_number(scores: list[float]) -> None:
    assert np.isfinite(gamma_threshold(np.array(scores)))
