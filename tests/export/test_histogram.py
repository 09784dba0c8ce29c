"""Ranges follow from the values, however they come."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from asd_export.histogram import BINS, MOST_VALUES, Histogram

PARTS = st.lists(
    arrays.arrays(
        np.float32, st.integers(1, 30), elements=st.floats(-1e6, 1e6, width=32)
    ),
    min_size=1,
    max_size=5,
)


def counted(*parts: NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def normal(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32)


@given(parts=PARTS)
def test_every_value_is_counted_once(parts: list[NDArray[np.float32]]) -> None:
    histogram = counted(*parts)
    values = np.concatenate(parts)
    assert histogram.counts.sum() == len(values)
    assert histogram.zeros == (values == 0).sum()
    assert histogram.extremes() == (values.min(), values.max())
    assert histogram.limit >= np.abs(values).max()
    assert histogram.limit == 0 or math.log2(histogram.limit).is_integer()


@given(parts=PARTS)
def test_every_range_lies_within_the_extremes(
    parts: list[NDArray[np.float32]],
) -> None:
    histogram = counted(*parts)
    for low, high in (
        histogram.percentile(100),
        histogram.percentile(99),
        histogram.entropy(),
    ):
        assert histogram.low <= low <= high <= histogram.high


def test_the_order_of_the_parts_does_not_matter() -> None:
    parts = [normal(500, seed) * 4**seed for seed in range(5)]
    there, back = counted(*parts), counted(*reversed(parts))
    # Growing merges bins; counts may differ by what lay on the edge between two.
    assert there.limit == back.limit
    assert np.abs(np.cumsum(there.counts - back.counts)).max() <= 2
    assert there.extremes() == back.extremes()


@pytest.mark.parametrize("percent", [99.9, 99, 90])
def test_percentiles_are_those_of_the_values(percent: float) -> None:
    values = np.concatenate([normal(20_000), 3 + 0.1 * normal(20_000, 1)])
    low, high = counted(values[:5000], values[5000:]).percentile(percent)
    tail = (100 - percent) / 2
    expected = np.percentile(values, [tail, 100 - tail])
    step = 2 * counted(values).limit / BINS
    # One bin, and one value of a sparse end.
    np.testing.assert_allclose([low, high], expected, atol=step + 0.01)


def test_of_large_maps_every_column_has_its_turn() -> None:
    columns = np.zeros((MOST_VALUES, 16), np.float32)
    columns[:, 3] = 1
    columns[0, 7] = 9
    histogram = counted(columns)
    assert histogram.counts.sum() < columns.size / 10
    part = histogram.counts[BINS // 2 + 1 :].sum() / histogram.counts.sum()
    assert part == pytest.approx(1 / 16, rel=0.01)
    assert histogram.high == 9


def test_entropy_cuts_off_what_is_rare_and_far() -> None:
    values = normal(100_000)
    low, high = counted(np.append(values, np.float32(30))).entropy()
    assert -6 < low < -2.5
    assert 2.5 < high < 10


def test_entropy_keeps_what_is_even() -> None:
    values = np.random.default_rng(0).uniform(-1, 3, 100_000).astype(np.float32)
    low, high = counted(values).entropy()
    assert low == pytest.approx(-1, abs=0.01)
    assert high == pytest.approx(3, abs=0.05)


def test_zeros_of_a_relu_do_not_draw_the_range_in() -> None:
    some = np.abs(normal(20_000))
    alone, among = counted(some), counted(some, np.zeros(500_000, np.float32))
    assert among.entropy() == (0, alone.entropy()[1])


def test_nothing_but_zeros() -> None:
    histogram = counted(np.zeros(10, np.float32), np.zeros(5, np.float32))
    assert histogram.extremes() == histogram.entropy() == (0, 0)
    assert histogram.percentile(99) == (0, 0)
