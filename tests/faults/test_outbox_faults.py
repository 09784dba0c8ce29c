"""What the outbox calls durable arrives, whatever happens to who carries it."""

import pytest

from faults.outbox import KINDS, Pace, run

pytestmark = pytest.mark.broker
QUICK = Pace(pause=(0.5, 1.0), dark=(1.0, 2.0), away=(0.0, 1.0))


def test_one_fault_of_each_kind_loses_nothing() -> None:
    tally = run(0, seed=3, pace=QUICK)
    assert set(tally.faults) == set(KINDS)
    assert tally.lost == set()
    assert tally.given_up == 0
    assert tally.disordered == 0
    assert len(tally.durable) > 10
    assert len(tally.acknowledged) > 10


def test_a_loss_would_be_noticed() -> None:
    tally = run(0, seed=3, pace=QUICK, forget=True)
    assert tally.lost
