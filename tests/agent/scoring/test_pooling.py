"""Pooling: what a window is must not depend on what was heard before it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asd_agent.scoring.pooling import Pool, PoolingSpec, pooled_size

KINDS = ("mean", "std", "both")


def directly(spec: PoolingSpec, units: np.ndarray) -> np.ndarray:
    """Pool units of shape ``(n, size)`` with numpy's own words, in float64."""
    wide = units.astype(np.float64)
    wide = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    parts = {"mean": [wide.mean(axis=0)], "std": [wide.std(axis=0)]}
    parts["both"] = parts["mean"] + parts["std"]
    return np.concatenate(parts[spec.kind])


def pooled(spec: PoolingSpec, units: np.ndarray) -> np.ndarray:
    pool = Pool(spec, units.shape[1])
    for unit in units:
        pool.push(unit)
    return pool.vector()


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_the_mean_or_the_spread_of_unit_vectors(kind: str) -> None:
    spec = PoolingSpec.model_validate({"kind": kind, "units": 18})
    units = np.random.default_rng(0).normal(size=(18, 64)).astype(np.float32)
    found = pooled(spec, units)
    assert found.shape == (pooled_size(spec, 64),)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, directly(spec, units), atol=2e-6)


@settings(max_examples=80, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 9),
    before=st.integers(0, 60),
    seed=st.integers(0, 999),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_a_window_is_the_same_wherever_in_a_stream_it_lies(
    kind: str, size: int, before: int, seed: int, scale: float
) -> None:
    spec = PoolingSpec.model_validate({"kind": kind, "units": 5})
    rng = np.random.default_rng(seed)
    units = (rng.normal(size=(before + 5, size)) * scale).astype(np.float32)
    assert pooled(spec, units).tobytes() == pooled(spec, units[-5:]).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    units=arrays(
        np.float32,
        st.tuples(st.integers(6, 30), st.integers(1, 4)),
        elements=st.floats(-1e3, 1e3, width=32),
    )
)
def test_no_values_make_the_running_sums_drift(units: np.ndarray) -> None:
    spec = PoolingSpec(kind="both", units=6)
    assert pooled(spec, units).tobytes() == pooled(spec, units[-6:]).tobytes()


def test_the_longest_window_is_still_exact() -> None:
    spec = PoolingSpec(kind="both", units=512)
    # The largest squares there are: all of the length in one component.
    units = np.random.default_rng(1).normal(size=(1500, 3)).astype(np.float32)
    units[::2] = (1, 0, 0)
    assert pooled(spec, units).tobytes() == pooled(spec, units[-512:]).tobytes()


def test_reset_forgets_all() -> None:
    spec = PoolingSpec(kind="both", units=3)
    units = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    pool = Pool(spec, 4)
    for unit in units:
        pool.push(unit)
    assert pool.full
    pool.reset()
    assert (pool.count, pool.full) == (0, False)
    pool.push(units[0])
    pool.push(units[1])
    assert pool.vector().tobytes() == pooled(spec, units[:2]).tobytes()


def test_a_part_of_a_window_is_pooled_by_its_own_count() -> None:
    spec = PoolingSpec(units=18)
    unit = np.array([3.0, 4.0], np.float32)
    for count in (1, 5):
        np.testing.assert_allclose(
            pooled(spec, np.tile(unit, (count, 1))), [0.6, 0.8], atol=3e-7
        )


def test_an_embedding_of_zeros_is_no_division_by_zero() -> None:
    spec = PoolingSpec(kind="both", units=2)
    assert not pooled(spec, np.zeros((2, 3), np.float32)).any()


LEVELS = arrays(
    np.float32,
    st.tuples(st.integers(6, 40), st.integers(1, 4)),
    elements=st.floats(-400, 400, width=32),
)


@settings(max_examples=60, deadline=None)
@given(levels=LEVELS)
def test_levels_keep_their_length_and_never_drift(levels: np.ndarray) -> None:
    spec = PoolingSpec(kind="both", units=6, unit_norm=False)
    found = pooled(spec, levels)
    assert found.tobytes() == pooled(spec, levels[-6:]).tobytes()
    held = np.clip(levels[-6:].astype(np.float64), -256, 256)
    size = levels.shape[1]
    np.testing.assert_allclose(found[:size], held.mean(axis=0), atol=1e-4)
    # Of a constant the root of what rounding leaves in the squares is left.
    np.testing.assert_allclose(found[size:], held.std(axis=0), atol=2e-4, rtol=1e-4)


def test_the_longest_window_of_levels_is_still_exact() -> None:
    spec = PoolingSpec(kind="both", units=512, unit_norm=False)
    rng = np.random.default_rng(4)
    levels = rng.uniform(-256, 256, (1500, 3)).astype(np.float32)
    levels[::2] = 256
    levels[:512] = np.nextafter(np.float32(256), np.float32(0))
    assert pooled(spec, levels).tobytes() == pooled(spec, levels[-512:]).tobytes()
