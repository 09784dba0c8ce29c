"""What becomes of an update when something goes wrong: every fault at every step.

Each row does real work on a real disk, with real child processes and real kills, and
says which bundle runs in the end and what was told last. In the end always exactly one
whole bundle runs: it is opened as at a start, and judges a window of sound.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import arriving, lost_broker, switching, testing
from faults.plant import Plant
from faults.table import FAULTS, IMPOSSIBLE, ROWS, STEPS, Row
from faults.zygote import Zygote

PARTS = (arriving, testing, switching, lost_broker)
"""Modules that have entered their rows"""


def test_every_fault_is_tried_at_every_step_or_it_is_said_why_not() -> None:
    tried = {(row.fault, row.step) for row in ROWS}
    assert tried.isdisjoint(IMPOSSIBLE)
    assert tried | set(IMPOSSIBLE) == {(f, s) for f in FAULTS for s in STEPS}


def test_no_row_hides_another() -> None:
    names = [_name(row) for row in ROWS]
    assert len(set(names)) == len(names)


def _name(row: Row) -> str:
    ends = f"{row.runs} runs, {row.state}" + (f" {row.reason}" if row.reason else "")
    return f"{row.fault} in {row.step} ({row.says}): {ends}"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as made:
        yield made


@pytest.mark.broker
@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_fault(
    row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zygote: Zygote
) -> None:
    plant = Plant(tmp_path, monkeypatch, zygote)
    row.act(plant)
    monkeypatch.undo()
    assert plant.outcome() == (row.runs, row.state, row.reason)
    if row.state == "rejected" and row.says != "a bug":  # a bug is told from above
        assert plant.reports[-1].step == row.step
    assert plant.start_and_score() == row.runs
