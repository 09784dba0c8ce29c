"""Products: right, silent about the processor's flag, and honest about NaN."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.scoring.vectors import product


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 999))
def test_small_products_are_right(n: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, size)).astype(np.float32)
    vector = rng.normal(size=size).astype(np.float32)
    found = product(rows, vector, np.zeros(n, np.float32))
    assert found == pytest.approx(rows.astype(np.float64) @ vector, rel=1e-4, abs=1e-5)


def test_the_flag_of_an_invalid_operation_is_no_warning() -> None:
    rows: np.ndarray = np.array([[np.inf, -np.inf], [1, 2]], np.float32)
    ones: np.ndarray = np.ones(2, np.float32)
    with pytest.warns(RuntimeWarning, match="invalid"):
        np.matmul(rows, ones)
    assert np.isnan(product(rows, ones)).tolist() == [True, False]
