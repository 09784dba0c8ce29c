from hypothesis import given
from hypothesis import strategies as st

from asd_agent.mqtt.outbox import WINDOW, MemoryOutbox


def filled(numbers: range, max_rows: int = 1000) -> MemoryOutbox:
    outbox = MemoryOutbox(max_rows)
    for number in numbers:
        outbox.put({"n": number}, changed=False, late=False)
    return outbox


def numbers_of(outbox: MemoryOutbox) -> list[int]:
    return [row.payload["n"] for row in outbox.take()]


def test_rows_are_handed_over_once_and_in_order() -> None:
    outbox = filled(range(3))
    assert numbers_of(outbox) == [0, 1, 2]
    assert numbers_of(outbox) == []
    assert len(outbox) == 3


def test_no_more_than_the_window_is_under_way() -> None:
    outbox = filled(range(WINDOW + 5))
    rows = outbox.take()
    assert len(rows) == WINDOW
    outbox.done(rows[3].key)
    assert numbers_of(outbox) == [WINDOW]


def test_a_lost_link_hands_over_again_and_says_so() -> None:
    outbox = filled(range(3))
    rows = outbox.take()
    assert [row.late for row in rows] == [False, False, False]
    outbox.done(rows[0].key)
    outbox.rewind()
    again = outbox.take()
    assert [row.payload["n"] for row in again] == [1, 2]
    assert all(row.late for row in again)


def test_a_full_outbox_gives_up_its_oldest_and_counts() -> None:
    outbox = filled(range(5), max_rows=3)
    assert outbox.dropped == 2
    assert numbers_of(outbox) == [2, 3, 4]


def test_changes_of_state_outlive_scores() -> None:
    outbox = MemoryOutbox(3)
    outbox.put({"n": 0}, changed=True, late=True)
    for number in range(1, 9):
        outbox.put({"n": number}, changed=False, late=True)
    assert numbers_of(outbox) == [0, 7, 8]


def test_of_changes_alone_the_oldest_goes() -> None:
    outbox = MemoryOutbox(2)
    for number in range(4):
        outbox.put({"n": number}, changed=True, late=True)
    assert numbers_of(outbox) == [2, 3]


def test_an_acknowledgement_of_a_row_given_up_is_no_error() -> None:
    outbox = filled(range(2), max_rows=2)
    first = outbox.take()[0]
    outbox.put({"n": 2}, changed=False, late=False)
    outbox.done(first.key)
    assert len(outbox) == 2
    assert numbers_of(outbox) == [2]


@given(st.lists(st.sampled_from(["put", "change", "take", "done", "rewind"])))
def test_nothing_is_lost_uncounted(steps: list[str]) -> None:
    outbox, put, done = MemoryOutbox(7), 0, 0
    handed: list[int] = []
    for step in steps:
        if step in ("put", "change"):
            outbox.put({"n": put}, changed=step == "change", late=False)
            put += 1
        elif step == "take":
            handed += [row.key for row in outbox.take()]
            assert handed == sorted(handed)
        elif step == "rewind":
            outbox.rewind()
            handed.clear()
        elif handed:
            before = len(outbox)
            outbox.done(handed.pop(0))
            done += before - len(outbox)
        assert len(outbox) == put - done - outbox.dropped <= 7
