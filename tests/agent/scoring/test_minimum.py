"""Several detectors as one: on one scale, and the least of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.calibration import COSINE_FLOOR
from asd_agent.scoring.detector import (
    KnnSpec,
    LofSpec,
    MahalanobisSpec,
    MinimumSpec,
    build,
)
from asd_agent.scoring.lof import Lof

SPEC = MinimumSpec(parts=(KnnSpec(), LofSpec(k=2)))


def normal(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found: np.ndarray = (1 + 0.2 * rng.normal(size=(n, 6))).astype(np.float32)
    return found


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 9), seed=st.integers(0, 999))
def test_few_rows_are_each_scored_by_all_others(n: int, seed: int) -> None:
    bank, query = normal(n, seed), normal(1, seed + 1)[0]
    wanted = []
    for make, floor in ((KnnBank, COSINE_FLOOR), (lambda: Lof(2), 1e-3)):
        left_out = [
            make().fit(np.delete(bank, i, axis=0)).score(bank[i]) for i in range(n)
        ]
        scale = max(float(np.std(left_out)), floor)
        wanted.append((make().fit(bank).score(query) - np.mean(left_out)) / scale)
    assert build(SPEC).fit(bank).score(query) == pytest.approx(min(wanted), rel=1e-9)


def test_scores_of_normal_rows_are_about_zero_and_scatter_by_one() -> None:
    spec = MinimumSpec(parts=(MahalanobisSpec(), MahalanobisSpec()))
    detector = build(spec).fit(normal(300))
    scores = np.array([detector.score(row) for row in normal(300, seed=1)])
    assert abs(scores.mean()) < 0.2
    assert 0.8 < scores.std() < 1.25


def test_one_detector_that_knows_the_sound_is_enough() -> None:
    """A second mode of two rows: near for one neighbour, far from the mean."""
    bank = np.concatenate([normal(60), normal(2, seed=3) + np.float32(4)])
    bank[-2:, :3] *= -1
    both = build(MinimumSpec(parts=(KnnSpec(), MahalanobisSpec()))).fit(bank)
    row, distance = both.nearest(bank[-1])
    assert both.score(bank[-1]) < 1
    assert row == 61
    assert distance == pytest.approx(0, abs=1e-6)
    assert both.score(-bank[0]) > both.score(bank[-1])


def test_one_row_has_no_scale() -> None:
    detector = build(SPEC).fit(normal(1))
    assert detector.score(normal(1)[0]) == pytest.approx(0, abs=1e-6)
    assert 0 < detector.score(normal(1, seed=1)[0]) < 2


def test_a_long_bank_is_thinned_for_the_scale_alone() -> None:
    bank = normal(2500)
    detector = build(MinimumSpec(parts=(KnnSpec(), KnnSpec(k=2)))).fit(bank)
    row, distance = detector.nearest(bank[2499])
    assert row == 2499
    assert distance == pytest.approx(0, abs=1e-6)
