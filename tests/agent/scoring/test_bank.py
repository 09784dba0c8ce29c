"""The bank against all distances computed in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.detector import KnnSpec, build


def distances(bank: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Cosine distances to every row, rising, and which row is first."""
    wide, v = bank.astype(np.float64), vector.astype(np.float64)
    cosine = wide @ v / (np.linalg.norm(wide, axis=1) * np.linalg.norm(v))
    found: np.ndarray = 1 - cosine
    return found


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(1, 12),
    n=st.integers(1, 40),
    size=st.integers(2, 20),
    seed=st.integers(0, 999),
    scale=st.sampled_from([1e-5, 1.0, 1e5]),
)
def test_the_score_is_the_mean_of_the_k_smallest_distances(
    k: int, n: int, size: int, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    bank = (rng.normal(size=(n, size)) * scale).astype(np.float32)
    vector = rng.normal(size=size).astype(np.float32)
    detector = build(KnnSpec(k=k)).fit(bank)
    expected = np.sort(distances(bank, vector))[: min(k, n)].mean()
    assert detector.score(vector) == pytest.approx(max(0, expected), abs=2e-6)
    row, distance = detector.nearest(vector)
    assert distance == pytest.approx(distances(bank, vector).min(), abs=2e-6)
    assert distances(bank, vector)[row] == pytest.approx(distance, abs=2e-6)


def test_a_known_vector_scores_nothing_and_its_opposite_all() -> None:
    bank = np.eye(3, dtype=np.float32)
    detector = KnnBank().fit(bank)
    assert detector.score(bank[1] * 7) == 0
    assert detector.nearest(bank[2]) == (2, 0)
    assert KnnBank().fit(bank[:1]).score(-bank[0]) == 2


def test_rows_of_zeros_are_far_from_everything() -> None:
    bank = np.zeros((2, 3), np.float32)
    bank[1, 0] = 1
    detector = KnnBank(k=2).fit(bank)
    assert detector.score(bank[1]) == pytest.approx(0.5)
    assert detector.score(np.zeros(3, np.float32)) == 1


def test_what_is_not_a_number_is_never_near() -> None:
    detector = KnnBank().fit(np.eye(2, dtype=np.float32))
    assert not detector.score(np.array([np.nan, 1], np.float32)) < 1
    assert (
        not KnnBank(k=2)
        .fit(np.eye(2, dtype=np.float32))
        .score(np.array([np.nan, 1], np.float32))
        < 1
    )


@pytest.mark.parametrize("shape", [(0, 4), (4,)])
def test_an_empty_bank_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected vectors"):
        KnnBank().fit(np.zeros(shape, np.float32))


def test_the_bank_keeps_the_vectors_as_they_were_given() -> None:
    bank = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_array_equal(KnnBank().fit(bank).vectors, bank)


@settings(max_examples=40, deadline=None)
@given(
    density=st.integers(1, 6),
    k=st.integers(1, 3),
    n=st.integers(2, 30),
    seed=st.integers(0, 999),
)
def test_distances_are_divided_by_those_of_the_neighbourhood(
    density: int, k: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bank = rng.normal(size=(n, 6)).astype(np.float32)
    query = rng.normal(size=6).astype(np.float32)
    radius = [
        np.sort(np.delete(distances(bank, row), i))[: min(density, n - 1)].mean()
        for i, row in enumerate(bank)
    ]
    ratio = np.sort(distances(bank, query) / np.array(radius))
    expected = ratio[: min(k, n)].mean()
    found = KnnBank(k, density).fit(bank).score(query)
    assert found == pytest.approx(expected, rel=1e-3)


def test_sparse_and_dense_parts_of_the_bank_are_alike() -> None:
    rng = np.random.default_rng(0)
    dense = [1, 0, 0, 0] + 0.01 * rng.normal(size=(40, 4))
    sparse = [0, 1, 0, 0] + 0.2 * rng.normal(size=(40, 4))
    bank = np.concatenate([dense, sparse]).astype(np.float32)
    between = np.array([1, 0, 0.1, 0], np.float32), np.array([0, 1, 0.1, 0], np.float32)
    plain, normalised = KnnBank().fit(bank), KnnBank(density=4).fit(bank)
    assert plain.score(between[0]) < plain.score(bank[-1] + np.float32(0.3))
    assert normalised.score(between[0]) > 10 * normalised.score(between[1])


def test_rows_that_repeat_do_not_divide_by_nothing() -> None:
    bank = np.tile(np.array([[1, 0]], np.float32), (5, 1))
    detector = KnnBank(density=2).fit(bank)
    assert detector.score(bank[0]) == 0
    assert detector.score(np.array([0, 1], np.float32)) == pytest.approx(1e4)
    # A single row has no neighbours: the distance is not divided.
    assert KnnBank(density=2).fit(bank[:1]).score(-bank[0]) == 2


def test_centroids_stay_as_short_as_they_are() -> None:
    """Two rows at a right angle: their mean is 0.707 long, and as similar to both."""
    bank = np.array([[1, 0], [0, 1], [-1, 0.001], [-1, -0.001]], np.float32)
    detector = KnnBank(centroids=2).fit(bank)
    assert detector.score(bank[0]) == pytest.approx(0.5, abs=1e-6)
    assert detector.score(bank[2]) == pytest.approx(0, abs=1e-5)
    # The nearest is a row that was heard, not a centroid.
    assert detector.nearest(bank[1]) == (1, 0)


def test_no_fewer_rows_than_centroids_are_left_as_they_are() -> None:
    bank = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    query = np.ones(4, np.float32)
    plain = KnnBank().fit(bank).score(query)
    assert KnnBank(centroids=8).fit(bank).score(query) == plain
