"""What runs, what ran before it, and what is never tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.state import (
    BASE,
    FRESH,
    MAX_REJECTED,
    MAX_STARTS,
    MAX_STATE_BYTES,
    REMEMBERED,
    News,
    StoreState,
    Trial,
    decode,
    encode,
)
from asd_agent.errors import BundleError

ONE = FRESH.switched("pump-1", 1).committed()
TWO = ONE.switched("pump-2", 2)
"""On trial"""


def test_nothing_was_installed() -> None:
    assert StoreState() == FRESH
    assert (FRESH.current, FRESH.previous, FRESH.trial) == (BASE, None, None)
    assert FRESH.started() is FRESH
    assert FRESH.committed() is FRESH
    assert FRESH.fallen_back("broken") is FRESH


def test_a_switch_is_a_trial() -> None:
    assert ONE.previous == BASE
    assert TWO.current == "pump-2"
    assert TWO.previous == "pump-1"
    assert TWO.trial == Trial(starts=0, version=2)
    assert TWO.news == News(id="pump-2", version=2, state="trial", step="switch")
    assert ONE.current == "pump-1"  # the old state is untouched


def test_a_switch_to_what_runs_changes_nothing() -> None:
    assert TWO.switched("pump-2", 2) is TWO
    assert ONE.switched("pump-1") is ONE


def test_a_trial_ends_well() -> None:
    done = TWO.committed()
    assert (done.current, done.previous, done.trial) == ("pump-2", "pump-1", None)
    assert done.news == News(id="pump-2", version=2, state="committed", step="commit")
    assert done.rejected == {}
    assert done.committed() is done


def test_a_trial_ends_badly() -> None:
    back = TWO.rolled_back("not_finite")
    assert (back.current, back.previous, back.trial) == ("pump-1", None, None)
    assert back.rejected == {"pump-2": "not_finite"}
    assert back.news == News(
        id="pump-2", version=2, state="rolled_back", step="trial", reason="not_finite"
    )
    with pytest.raises(BundleError, match=r"rejected by this device before \(not_f"):
        back.switched("pump-2")


def test_a_bundle_is_started_three_times_on_trial() -> None:
    state = TWO
    for starts in range(1, MAX_STARTS + 1):
        state = state.started()
        assert state.trial == Trial(starts=starts, version=2)
        assert state.current == "pump-2"
    state = state.started()
    assert state.current == "pump-1"
    assert state.rejected == {"pump-2": "starts"}
    assert state.started() is state


def test_a_trial_that_ends_in_time_is_not_counted() -> None:
    state = TWO
    for _ in range(MAX_STARTS):
        state = state.started()
    state = state.committed()
    for _ in range(9):
        state = state.started()
    assert state.current == "pump-2"


def test_the_first_bundle_rolls_back_to_the_base() -> None:
    back = FRESH.switched("pump-1").rolled_back("crashed")
    assert (back.current, back.previous) == (BASE, None)


def test_by_hand_a_committed_bundle_is_left_too() -> None:
    back = TWO.committed().rolled_back("by_hand")
    assert (back.current, back.previous) == ("pump-1", None)
    assert back.rejected == {"pump-2": "by_hand"}
    again = back.rolled_back("by_hand")
    assert again.current == BASE
    with pytest.raises(BundleError, match="no installed bundle runs"):
        again.rolled_back("by_hand")


def test_a_trial_is_overtaken_by_another() -> None:
    three = TWO.switched("pump-3", 3)
    assert (three.current, three.previous) == ("pump-3", "pump-1")
    assert three.rejected == {}  # nothing was found against it
    back = three.rolled_back("hung")
    assert back.current == "pump-1"
    assert TWO.switched("pump-1").previous is None


def test_a_verdict_on_a_bundle_that_was_overtaken_is_void() -> None:
    three = TWO.switched("pump-3", 3)
    assert three.committed(of="pump-2") is three
    assert three.rolled_back("hung", of="pump-2") is three
    assert three.committed(of="pump-3").trial is None
    assert three.rolled_back("hung", of="pump-3").current == "pump-1"
    assert FRESH.rolled_back("hung", of="pump-3") is FRESH


def test_a_bundle_that_was_damaged_later_may_come_again() -> None:
    for state in (TWO, TWO.committed()):
        back = state.fallen_back("broken")
        assert (back.current, back.trial) == ("pump-1", None)
        assert back.rejected == {}
        assert back.news is not None
        assert (back.news.state, back.news.reason) == ("rolled_back", "broken")
        assert back.switched("pump-2").current == "pump-2"


@pytest.mark.parametrize(
    "reason",
    [
        *("unsigned", "untrusted", "malformed", "device_class", "not_newer"),
        *("too_large", "changed", "missing_file", "extra_file", "not_plain"),
        *("unavailable", "no_runtime", "disk_full", "nothing_kept", "pinned", "broken"),
    ],
)
def test_what_is_not_the_bundles_fault_is_not_remembered(reason: str) -> None:
    state = ONE.refused("pump-2", reason, "fetch", 2)
    assert state.rejected == {}
    assert state.current == "pump-1"
    assert state.news == News(
        id="pump-2", version=2, state="rejected", step="fetch", reason=reason
    )


@pytest.mark.parametrize("reason", sorted(REMEMBERED))
def test_what_is_the_bundles_fault_is_remembered(reason: str) -> None:
    state = ONE.refused("pump-2", reason, "self-test")
    assert state.rejected == {"pump-2": reason}
    assert state.forgiven("pump-2").switched("pump-2").current == "pump-2"


def test_the_oldest_rejected_is_forgotten() -> None:
    state = FRESH
    for i in range(MAX_REJECTED + 2):
        state = state.refused(f"pump-{i}", "hung")
    assert len(state.rejected) == MAX_REJECTED
    assert "pump-1" not in state.rejected
    assert list(state.rejected)[-1] == f"pump-{MAX_REJECTED + 1}"
    state = state.refused("pump-2", "differs")
    assert list(state.rejected)[-1] == "pump-2"
    assert len(encode(state)) < MAX_STATE_BYTES


def test_what_is_found_when_the_state_is_lost() -> None:
    assert StoreState.found({}) == FRESH
    state = StoreState.found({3: "pump-3", 1: "pump-1", 2: "pump-2"})
    assert (state.current, state.previous) == ("pump-3", "pump-2")
    assert state.trial == Trial(starts=0, version=3)
    assert StoreState.found({1: "pump-1"}).previous is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\0" * 200,
        b'{"v": 2}',
        b'{"v": 1, "surprise": 1}',
        b'{"current": "../../etc"}',
        b'{"current": "pump-1", "previous": "pump-1"}',
        b'{"trial": {"starts": 1}}',
        b'{"current": "pump-1", "trial": {"starts": 4}}',
        b'{"current": "pump-1", "trial": {"starts": -1}}',
        b'{"rejected": {"..": "hung"}}',
        b" " * (MAX_STATE_BYTES + 1),
    ],
    ids=lambda raw: raw[:40].decode(),
)
def test_bytes_that_are_no_state(raw: bytes) -> None:
    with pytest.raises(BundleError):
        decode(raw)


def test_what_is_written_is_read() -> None:
    state = TWO.started().refused("pump-3", "hung", "self-test", 3)
    assert decode(encode(state)) == state


_names = st.sampled_from(["pump-1", "pump-2", "pump-3", "pump-4"])
_reasons = st.sampled_from(["hung", "by_hand", "disk_full", "untrusted"])
_steps = st.one_of(
    st.tuples(st.just("switched"), _names),
    st.tuples(st.just("started")),
    st.tuples(st.just("committed")),
    st.tuples(st.just("rolled_back"), _reasons),
    st.tuples(st.just("fallen_back"), _reasons),
    st.tuples(st.just("refused"), _names, _reasons),
)


@given(st.lists(_steps, max_size=30))
def test_no_way_leads_to_a_rejected_bundle_on_trial(
    steps: list[tuple[str, ...]],
) -> None:
    state = FRESH
    for name, *arguments in steps:
        before = state
        try:
            state = getattr(state, name)(*arguments)
        except BundleError:
            continue
        assert decode(encode(state)) == state
        assert state.trial is None or state.trial.starts <= MAX_STARTS
        if state.current != before.current and name == "switched":
            assert state.current not in before.rejected
        if before.trial is None and state.trial is not None:
            # What was committed is what is returned to.
            assert state.previous in {before.current, None}
