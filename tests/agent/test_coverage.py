"""Every sample is counted once, whatever happens in whatever order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.coverage import Coverage, Kind, Span
from asd_agent.ear import unscored
from asd_agent.scoring.decision import Decision, State

UNIT = 100
GAP, SCORED = Kind.GAP, Kind.SCORED


def scored(end: int, state: State = State.NORMAL, reason: str = "") -> Decision:
    return replace(unscored(state, end, reason), score=0.5)


def test_overlapping_units_count_what_is_new() -> None:
    coverage = Coverage()
    assert coverage.decided(scored(100), UNIT) == [Span(SCORED, "", 100)]
    assert coverage.decided(scored(150), UNIT) == [Span(SCORED, "", 50)]
    assert coverage.totals == {(SCORED, ""): 150}


def test_what_lies_between_units_is_a_gap() -> None:
    coverage = Coverage()
    coverage.decided(scored(100), UNIT)
    assert coverage.broken(130, "dropout") == [Span(GAP, "dropout", 30)]
    spans = coverage.decided(scored(300), UNIT)
    assert spans == [Span(GAP, "cut", 70), Span(SCORED, "", 100)]
    assert coverage.decided(scored(500), UNIT, "overload")[0].reason == "overload"
    assert coverage.past == 500


@pytest.mark.parametrize(
    ("decision", "kind", "reason"),
    [
        (scored(100), SCORED, ""),
        (scored(100, State.NO_SIGNAL, "gap"), SCORED, ""),
        (scored(100, State.ANOMALOUS), SCORED, ""),
        (scored(100, State.MIC_SUSPECT, "clipped"), Kind.SUSPECT, "clipped"),
        (scored(100, State.ANOMALOUS, "clipped"), Kind.SUSPECT, "clipped"),
        (unscored(State.LEARNING, 100), Kind.LEARNT, ""),
        (unscored(State.NO_SIGNAL, 100, "silence"), Kind.SILENT, "silence"),
        (unscored(State.NO_SIGNAL, 100, "stuck"), Kind.SILENT, "stuck"),
    ],
)
def test_what_becomes_of_a_unit(decision: Decision, kind: Kind, reason: str) -> None:
    assert Coverage().decided(decision, UNIT) == [Span(kind, reason, 100)]


def test_nothing_is_counted_twice() -> None:
    coverage = Coverage()
    coverage.broken(200, "lost")
    assert coverage.broken(200, "lost") == []
    assert coverage.decided(scored(200), UNIT) == []


STEP = st.tuples(st.booleans(), st.integers(-50, 400))


@given(st.lists(STEP, max_size=50))
def test_the_parts_are_the_whole(steps: list[tuple[bool, int]]) -> None:
    coverage, told = Coverage(), 0
    at = 0
    for unit, step in steps:
        at = max(0, at + step)
        spans = (
            coverage.decided(scored(at), UNIT) if unit else coverage.broken(at, "lost")
        )
        told += sum(span.samples for span in spans)
        assert all(span.samples > 0 for span in spans)
    assert coverage.past == told == sum(coverage.totals.values())
