"""What is left for a broker that is away arrives, or is counted, whatever the disk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from faults.outbox_full import CASES, Row, run, small_limit

pytestmark = [pytest.mark.broker, pytest.mark.root]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_decision_is_accounted_for(case: Callable[[Path, int], Row]) -> None:
    # The smallest limit is full with fewer, and nothing else is.
    row = run(case, 4000 if case is small_limit else 1500)
    assert row.unaccounted == 0
    assert row.received > 500
    assert row.changes_lost == 0
    assert row.given_up > 0 or case is not small_limit
