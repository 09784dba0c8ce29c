"""What every outbox keeps, in memory and on disk."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.mqtt.outbox import MemoryOutbox, Outbox
from asd_agent.mqtt.queue import WINDOW
from support.outboxes import opened, take_all


@pytest.fixture(params=["memory", "disk"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outbox]:
    if request.param == "memory":
        yield MemoryOutbox()
        return
    with opened(tmp_path) as made:
        yield made


def fill(outbox: Outbox, numbers: range) -> None:
    for number in numbers:
        outbox.put({"n": number}, changed=False, late=False)


def numbers_of(outbox: Outbox) -> list[int]:
    return [json.loads(row.message)["n"] for row in outbox.take()]


def test_rows_are_handed_over_once_and_in_order(outbox: Outbox) -> None:
    fill(outbox, range(3))
    assert numbers_of(outbox) == [0, 1, 2]
    assert numbers_of(outbox) == []
    assert len(outbox) == 3


def test_no_more_than_the_window_is_under_way(outbox: Outbox) -> None:
    fill(outbox, range(WINDOW + 5))
    rows = outbox.take()
    assert len(rows) == WINDOW
    outbox.done(rows[3].key)
    assert numbers_of(outbox) == [WINDOW]


def test_a_lost_link_hands_over_again_and_says_so(outbox: Outbox) -> None:
    fill(outbox, range(3))
    rows = outbox.take()
    assert [row.late for row in rows] == [False, False, False]
    outbox.done(rows[0].key)
    outbox.rewind()
    fill(outbox, range(3, 4))
    again = outbox.take()
    assert [json.loads(row.message)["n"] for row in again] == [1, 2, 3]
    assert [row.late for row in again] == [True, True, False]


def test_what_was_left_without_a_broker_is_late(outbox: Outbox) -> None:
    outbox.put({"n": 0}, changed=False, late=True)
    assert [json.loads(r.message)["replayed"] for r in outbox.take()] == [True]


def test_what_cannot_be_sent_is_counted(outbox: Outbox) -> None:
    outbox.put({"n": float("nan")}, changed=True, late=False)
    assert (len(outbox), outbox.dropped) == (0, 1)


def test_an_acknowledgement_that_comes_twice_is_no_error(outbox: Outbox) -> None:
    fill(outbox, range(2))
    first = outbox.take()[0]
    outbox.done(first.key)
    outbox.done(first.key)
    outbox.done(999)
    assert len(outbox) == 1


def test_everything_comes_in_order_however_long_it_waited(outbox: Outbox) -> None:
    fill(outbox, range(900))
    assert take_all(outbox) == list(range(900))
    assert (len(outbox), outbox.dropped) == (0, 0)


def filled(numbers: range, max_rows: int) -> MemoryOutbox:
    outbox = MemoryOutbox(max_rows)
    fill(outbox, numbers)
    return outbox


def test_a_full_memory_gives_up_its_oldest_and_counts() -> None:
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


def test_what_is_under_way_is_given_up_last() -> None:
    outbox = filled(range(3), max_rows=3)
    handed = outbox.take()
    fill(outbox, range(3, 4))
    assert outbox.dropped == 1
    outbox.done(handed[1].key)
    fill(outbox, range(4, 6))
    outbox.rewind()
    assert numbers_of(outbox) == [2, 4, 5]


def test_changes_that_no_disk_held_are_counted() -> None:
    outbox = filled(range(2), max_rows=9)
    outbox.put({"n": 2}, changed=True, late=False)
    assert outbox.undurable == 0
    numbers_of(outbox)
    outbox.rewind()
    numbers_of(outbox)
    assert outbox.undurable == 1


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
