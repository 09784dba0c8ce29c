"""What holds for every detector that a manifest can name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from asd_agent.scoring.detector import (
    DetectorSpec,
    KnnSpec,
    LofSpec,
    MahalanobisSpec,
    MinimumSpec,
    build,
)
from support.bundles import DETECTORS

ADAPTER: TypeAdapter[DetectorSpec] = TypeAdapter(DetectorSpec)
every_detector = pytest.mark.parametrize("spec", DETECTORS, ids=str)


@every_detector
def test_it_survives_being_written(spec: DetectorSpec) -> None:
    assert ADAPTER.validate_json(ADAPTER.dump_json(spec)) == spec


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ('{"kind": "knn", "k": 1}', KnnSpec()),
        ('{"kind": "lof"}', LofSpec(k=4)),
        ('{"kind": "mahalanobis"}', MahalanobisSpec()),
        (
            '{"kind": "minimum", "parts": [{"kind": "knn"}, {"kind": "lof", "k": 2}]}',
            MinimumSpec(parts=(KnnSpec(), LofSpec(k=2))),
        ),
    ],
)
def test_how_it_is_written(text: str, spec: DetectorSpec) -> None:
    assert ADAPTER.validate_json(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "forest"}',
        '{"k": 1}',
        '{"kind": "lof", "density": 1}',
        '{"kind": "knn", "k": 0}',
        '{"kind": "minimum", "parts": [{"kind": "knn"}]}',
        '{"kind": "minimum", "parts": [{"kind": "knn"}, {"kind": "minimum"}]}',
    ],
)
def test_what_cannot_be_written(text: str) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_json(text)


BANKS = st.sampled_from(["one row", "two", "some", "constant column", "alike", "zero"])


def bank_of(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows: np.ndarray = rng.normal(size=(25, 5)).astype(np.float32)
    if kind == "one row":
        return rows[:1]
    if kind == "two":
        return rows[:2]
    if kind == "constant column":
        rows[:, 2] = 3
    if kind == "alike":
        rows[:] = rows[0]
    if kind == "zero":
        rows[:] = 0
    return rows


@every_detector
@settings(max_examples=25, deadline=None)
@given(kind=BANKS, seed=st.integers(0, 99), scale=st.sampled_from([0.0, 1e-3, 1, 1e3]))
def test_every_bank_gives_finite_scores(
    spec: DetectorSpec, kind: str, seed: int, scale: float
) -> None:
    bank = bank_of(kind, seed)
    query = np.random.default_rng(seed + 1).normal(size=5) * scale
    detector = build(spec).fit(bank, 2)
    for vector in (query.astype(np.float32), bank[0]):
        assert np.isfinite(detector.score(vector))
        row, distance = detector.nearest(vector)
        assert 0 <= row < len(bank)
        assert 0 <= distance < np.inf


@every_detector
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99))
def test_a_row_of_the_bank_is_its_own_nearest(spec: DetectorSpec, seed: int) -> None:
    bank = bank_of("some", seed)
    detector = build(spec).fit(bank)
    for row in (0, 11, 24):
        found, distance = detector.nearest(bank[row])
        assert found == row
        assert distance == pytest.approx(0, abs=1e-6)


@every_detector
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([2.0**-6, 2.0**7]))
def test_the_unit_of_the_vectors_changes_nothing(
    spec: DetectorSpec, seed: int, scale: float
) -> None:
    bank = bank_of("some", seed)
    query = np.random.default_rng(seed + 1).normal(size=5).astype(np.float32)
    plain = build(spec).fit(bank).score(query)
    scaled = build(spec).fit(bank * np.float32(scale)).score(query * np.float32(scale))
    assert scaled == pytest.approx(plain, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    "spec", [s for s in DETECTORS if s.kind != "minimum" and s != KnnSpec(centroids=3)]
)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_order_of_the_bank_changes_nothing(spec: DetectorSpec, seed: int) -> None:
    bank = bank_of("some", seed)
    rng = np.random.default_rng(seed + 1)
    query = rng.normal(size=5).astype(np.float32)
    plain = build(spec).fit(bank).score(query)
    assert build(spec).fit(rng.permutation(bank)).score(query) == pytest.approx(
        plain, rel=1e-5, abs=1e-6
    )


@every_detector
def test_what_is_far_scores_more_than_what_is_near(spec: DetectorSpec) -> None:
    rng = np.random.default_rng(0)
    bank = (5 + rng.normal(size=(200, 8))).astype(np.float32)
    near = (5 + rng.normal(size=(50, 8))).astype(np.float32)
    far = near.copy()
    far[:, :4] -= 8
    detector = build(spec).fit(bank)
    high = max(detector.score(row) for row in near)
    assert min(detector.score(row) for row in far) > high


@every_detector
@pytest.mark.parametrize("shape", [(0, 4), (4,)])
def test_an_empty_bank_is_refused(spec: DetectorSpec, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected vectors"):
        build(spec).fit(np.zeros(shape, np.float32))
