"""The local outlier factor against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import LocalOutlierFactor

from asd_agent.scoring.lof import Lof


def unit(vectors: np.ndarray) -> np.ndarray:
    wide = vectors.astype(np.float64)
    found: np.ndarray = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return found


def expected(bank: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    reference = LocalOutlierFactor(n_neighbors=k, novelty=True)
    found: np.ndarray = -reference.fit(unit(bank)).score_samples(unit(queries))
    return found


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(2, 60),
    size=st.integers(2, 24),
    k=st.integers(1, 8),
    seed=st.integers(0, 999),
    spread=st.sampled_from([1e-3, 1.0]),
)
def test_it_is_that_of_scikit_learn(
    n: int, size: int, k: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=size)
    bank = (centre + spread * rng.normal(size=(n, size))).astype(np.float32)
    queries = (centre + 2 * spread * rng.normal(size=(5, size))).astype(np.float32)
    detector = Lof(k).fit(bank)
    wanted = expected(bank, queries, min(k, n - 1))
    found = [detector.score(query) for query in queries]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_a_bank_of_several_blocks_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    bank = rng.normal(size=(700, 16)).astype(np.float32)
    queries = np.concatenate([bank[::70], rng.normal(size=(10, 16))]).astype(np.float32)
    detector = Lof(4).fit(bank)
    found = [detector.score(query) for query in queries]
    np.testing.assert_allclose(found, expected(bank, queries, 4), atol=1e-6)


@pytest.mark.filterwarnings("ignore:Duplicate values")
def test_rows_that_repeat_have_a_finite_score_as_in_scikit_learn() -> None:
    row = np.array([1, 2, 2], np.float32)
    bank = np.tile(row, (6, 1))
    queries = np.array([[1, 2, 2], [2, 1, 2]], np.float32)
    found = [Lof(4).fit(bank).score(query) for query in queries]
    assert found[0] == pytest.approx(1)
    np.testing.assert_allclose(found, expected(bank, queries, 4), rtol=1e-6)


def test_of_one_row_only_the_distance_is_known() -> None:
    detector = Lof(4).fit(np.array([[3, 0]], np.float32))
    assert detector.score(np.array([5, 0], np.float32)) == 0
    assert detector.score(np.array([0, 2], np.float32)) == pytest.approx(np.sqrt(2))
    row, distance = detector.nearest(np.array([-1, 0], np.float32))
    assert row == 0
    assert distance == pytest.approx(2)


def test_worked_out_by_hand_with_two_rows() -> None:
    """Both rows reach each other over d, so LOF is the query's mean reach over d."""
    a, b, query = (
        np.array([np.cos(t), np.sin(t)], np.float32) for t in (0.0, 0.2, 0.5)
    )
    apart = 2 * np.sin(0.1)
    detector = Lof(4).fit(np.stack([a, b]))
    # One neighbour: b, whose own reach is `apart`.
    assert detector.score(query) == pytest.approx(2 * np.sin(0.15) / apart, rel=1e-6)


def test_what_is_not_a_number_is_never_near() -> None:
    detector = Lof(2).fit(np.eye(4, dtype=np.float32))
    assert not detector.score(np.array([np.nan, 1, 0, 0], np.float32)) < 10
