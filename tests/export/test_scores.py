"""Windows are cut, scored, ranked and told apart as it is said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from asd_agent.scoring.pooling import PoolingSpec
from asd_export.scores import auc, rank_correlation, window_scores, windows

VALUES = arrays.arrays(
    np.float64, st.integers(2, 20), elements=st.floats(-100, 100, width=16)
)
NORMAL = np.ones(4, bool)


@given(values=VALUES)
def test_rank_correlation_sees_only_order(values: NDArray[np.float64]) -> None:
    found = rank_correlation(values, np.exp(values / 50))
    if np.ptp(values) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(1)
        assert rank_correlation(values, -values) == pytest.approx(-1)


def test_rank_correlation_of_a_known_table() -> None:
    # d = 0, 1, -1, 0: 1 - 6 * 2 / (4 * 15) = 0.8
    found = rank_correlation(np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40]))
    assert found == pytest.approx(0.8)


def test_ties_share_their_mean_rank() -> None:
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
    found = rank_correlation(np.array([0.0, 5, 5, 9]), np.array([1.0, 2, 3, 4]))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))


@given(scores=VALUES, data=st.data())
def test_auc_counts_pairs(scores: NDArray[np.float64], data: st.DataObject) -> None:
    flags = st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))
    anomalous = np.array(data.draw(flags))
    higher, lower = scores[anomalous], scores[~anomalous]
    found = auc(scores, anomalous)
    if not len(higher) or not len(lower):
        assert found is None
        return
    pairs = np.sign(higher[:, None] - lower[None, :])
    assert found == pytest.approx((pairs.mean() + 1) / 2)


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_a_window_is_half_a_clip(lengths: list[int]) -> None:
    clips = np.repeat(np.arange(len(lengths)), lengths)
    found = windows(clips)
    for clip, length in enumerate(lengths):
        own = [places for places in found if clips[places[0]] == clip]
        assert len(own) == length // 2 + 1
        assert {len(places) for places in own} == {(length + 1) // 2}
        assert all((clips[places] == clip).all() for places in own)
        assert {int(p) for places in own for p in places} == set(
            np.flatnonzero(clips == clip).tolist()
        )


def test_windows_are_pooled_and_compared_with_the_bank() -> None:
    bank = np.array([[1, 0], [0, 1]], np.float32)
    queries = np.array([[2, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    clips = np.array([7, 7, 3, 3])
    # Of clip 3 first a unit between the bank's vectors, then one that is in it.
    expected = [1 - np.sqrt(0.5), 0, 0, 0]
    found = window_scores(bank, queries, clips, NORMAL, PoolingSpec())
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_deviations_are_compared_with_normal_clips_alone() -> None:
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((12, 3)).astype(np.float32)
    clips = np.repeat([0, 1, 2], 4)
    # Clip 2 is clip 1 again.
    queries[8:] = queries[4:8]
    spec = PoolingSpec(kind="std")
    nobody = np.zeros((0, 3), np.float32)
    all_normal = window_scores(nobody, queries, clips, np.ones(12, bool), spec)
    np.testing.assert_allclose(all_normal[3:], 0, atol=1e-6)
    assert all_normal[:3].min() > 0.01
    # What is anomalous is in no bank: now neither finds its twin but clip 0.
    last = window_scores(nobody, queries, clips, clips < 2, spec)
    assert last[3:6].min() > 0.01
    np.testing.assert_allclose(last[6:], 0, atol=1e-6)
