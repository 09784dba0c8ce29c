"""Holes in the sound are counted to the sample, and none is called normal."""

from pathlib import Path

import pytest

from faults.dropouts import run


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_injected_is_what_is_reported(tmp_path: Path, seed: int) -> None:
    found = run(tmp_path, 600, seed)
    assert found.holes > 10
    assert found.good, found
