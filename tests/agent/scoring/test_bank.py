"""The bank against all distances computed in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.detector import DetectorSpec, build


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
    detector = build(DetectorSpec(k=k)).fit(bank)
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
