"""A broker that flaps costs nothing: every decision arrives."""

import pytest

from faults.flapping import run

pytestmark = pytest.mark.broker


def test_nothing_is_lost_in_an_hour_of_flapping() -> None:
    day = run(1)
    last = day.reports[-1]
    assert last.left == 3600
    assert day.flaps > 0
    assert day.unaccounted == 0
    assert (last.given_up, last.undurable, last.waiting) == (0, 0, 0)
    assert day.arrived.disordered == 0
