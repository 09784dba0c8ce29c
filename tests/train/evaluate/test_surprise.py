"""Surprise keeps the order and is the logarithm of the agent's p-value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_train.evaluate.surprise import NUDGE, Surprise

SCORES = st.lists(st.floats(0, 2, width=32), min_size=2, max_size=40)


@given(SCORES, SCORES)
def test_it_never_turns_an_order(normal: list[float], new: list[float]) -> None:
    surprise = Surprise(np.array(normal))
    rising = sorted(new)
    found = [surprise(score) for score in rising]
    assert found == sorted(found)


def test_it_has_no_ties() -> None:
    normal = np.linspace(0.1, 0.4, 9)
    rising = np.concatenate([np.linspace(0, 1, 301), np.linspace(1.1, 50, 40)])
    surprise = Surprise(normal)
    found = np.array([surprise(score) for score in rising])
    assert (np.diff(found) > 0).all()


def test_at_a_known_score_it_is_the_p_value() -> None:
    surprise = Surprise(np.arange(1.0, 20))
    for rank, score in enumerate(range(19, 0, -1), start=1):
        assert surprise.p_value(score) == pytest.approx((1 + rank) / 20)
        assert surprise(score) == pytest.approx(-math.log10((1 + rank) / 20))
    assert surprise(60) == pytest.approx(-math.log10(surprise.p_value(60)), abs=NUDGE)
