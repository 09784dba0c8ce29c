"""What the store calls durable is there after a power cut, and it is whole."""

import pytest

from faults.power_cuts import run

pytestmark = pytest.mark.root


def test_no_cut_leaves_less_than_was_told() -> None:
    tally = run(8, fsync=True, seed=11, longest_s=0.6)
    assert tally.bad == 0, tally.notes
    assert tally.cuts == 8
    assert tally.installs > 0


def test_the_same_cuts_find_that_nothing_was_flushed() -> None:
    tally = run(3, fsync=False, seed=12, longest_s=0.6)
    assert tally.bad > 0
