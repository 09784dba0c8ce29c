"""What the outbox calls durable is there after a power cut, and can be read."""

import pytest

from faults.outbox_power_child import COMMIT_S
from faults.outbox_power_cuts import run

pytestmark = pytest.mark.root
SLOW_S = 3.0
"""What a busy machine may take for one commit"""


def test_no_cut_leaves_less_than_was_told() -> None:
    tally = run(4, fsync=True, seed=5, longest_s=2.0)
    assert tally.bad == 0, tally.notes
    assert tally.cuts == 4
    assert tally.rows > 50
    assert tally.changes > 0
    assert tally.oldest_s < COMMIT_S + SLOW_S


def test_the_same_cuts_find_that_nothing_was_flushed() -> None:
    tally = run(3, fsync=False, seed=6, longest_s=2.0)
    assert tally.bad > 0
