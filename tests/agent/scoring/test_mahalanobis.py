"""The shrunk Mahalanobis distance against scikit-learn's and by hand."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from asd_agent.scoring.mahalanobis import Mahalanobis


def expected(bank: np.ndarray, queries: np.ndarray) -> np.ndarray:
    wide = bank.astype(np.float64)
    mean, deviation = wide.mean(axis=0), wide.std(axis=0)
    reference = LedoitWolf().fit((wide - mean) / deviation)
    squared = reference.mahalanobis((queries.astype(np.float64) - mean) / deviation)
    found: np.ndarray = np.sqrt(squared)
    return found


def correlated(n: int, size: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, size)) @ rng.normal(size=(size, size))
    found: np.ndarray = (rows + rng.normal(size=size)).astype(np.float32)
    return found


@settings(max_examples=60, deadline=None)
@given(n=st.integers(3, 80), size=st.integers(2, 24), seed=st.integers(0, 999))
def test_it_is_that_of_scikit_learn(n: int, size: int, seed: int) -> None:
    bank = correlated(n, size, seed)
    queries = correlated(5, size, seed + 1)
    detector = Mahalanobis().fit(bank)
    found = [detector.score(query) for query in queries]
    np.testing.assert_allclose(found, expected(bank, queries), rtol=1e-8)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    units=st.lists(st.sampled_from([2.0**-10, 1.0, 2.0**8]), min_size=6, max_size=6),
)
def test_units_and_order_of_columns_change_nothing(
    seed: int, units: list[float]
) -> None:
    bank, query = correlated(40, 6, seed), correlated(1, 6, seed + 1)[0]
    order = np.random.default_rng(seed).permutation(6)
    plain = Mahalanobis().fit(bank).score(query)
    same = Mahalanobis().fit(bank[:, order]).score(query[order])
    assert same == pytest.approx(plain, rel=1e-9)
    # One unit for all columns: no floor comes near.
    scale = np.float32(units[0])
    scaled = Mahalanobis().fit(bank * scale).score(query * scale)
    assert scaled == pytest.approx(plain, rel=1e-9)


def test_fewer_independent_windows_mean_more_shrinkage() -> None:
    """With all the shrinkage there is, what is left is the plain distance."""
    bank, query = correlated(60, 8, 1), correlated(1, 8, 2)[0]
    wide = bank.astype(np.float64)
    plain = np.linalg.norm((query - wide.mean(axis=0)) / wide.std(axis=0))
    far = [
        abs(Mahalanobis().fit(bank, independent).score(query) - plain)
        for independent in (60, 20, 5, 1)
    ]
    assert far == sorted(far, reverse=True)
    assert far[0] > far[-1]
    assert Mahalanobis().fit(bank).score(query) == Mahalanobis().fit(bank, 60).score(
        query
    )
    # More than there are rows cannot be.
    assert Mahalanobis().fit(bank, 600).score(query) == Mahalanobis().fit(bank).score(
        query
    )


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_rows_have_no_covariance(n: int) -> None:
    bank = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 8.0]], np.float32)[:n]
    detector = Mahalanobis().fit(bank)
    assert detector.score(bank.mean(axis=0)) == pytest.approx(0, abs=1e-6)
    if n == 2:
        # One deviation in a column.
        query = bank.mean(axis=0) + np.array([1, 0, 0], np.float32)
        assert detector.score(query) == pytest.approx(1)
    assert np.isfinite(detector.score(np.array([9, 9, 9], np.float32)))


def test_constant_columns_and_rows_that_repeat_stay_finite() -> None:
    bank = correlated(30, 4, 3)
    bank[:, 2] = 7
    assert np.isfinite(Mahalanobis().fit(bank).score(bank[0] + np.float32(1)))
    two_places = np.tile(correlated(2, 4, 4), (10, 1))
    assert np.isfinite(Mahalanobis().fit(two_places).score(bank[0]))
    same = np.tile(bank[:1], (10, 1))
    detector = Mahalanobis().fit(same)
    assert detector.score(bank[0]) == pytest.approx(0, abs=1e-6)
    assert 0 < detector.score(bank[0] + np.float32(1)) < np.inf
    zeros = Mahalanobis().fit(np.zeros((5, 3), np.float32))
    assert zeros.score(np.array([3, 4, 0], np.float32)) == pytest.approx(5)


def test_the_nearest_row_is_the_nearest_in_deviations() -> None:
    bank = correlated(50, 5, 6)
    detector = Mahalanobis().fit(bank)
    row, distance = detector.nearest(bank[17])
    assert row == 17
    assert distance == pytest.approx(0, abs=1e-9)
    # The distance between two rows does not depend on where the mean is.
    query = bank[17] + (bank[3] - bank.astype(np.float64).mean(axis=0)).astype(
        np.float32
    )
    shifted = Mahalanobis().fit(bank)
    assert shifted.nearest(query)[1] <= detector.score(bank[3]) * (1 + 1e-5)


def test_fifty_fits_of_a_full_bank_are_quick() -> None:
    bank = np.random.default_rng(0).normal(size=(10_000, 96)).astype(np.float32)
    start = time.process_time()
    for _ in range(5):
        Mahalanobis().fit(bank, 600)
    assert (time.process_time() - start) * 10 < 15
