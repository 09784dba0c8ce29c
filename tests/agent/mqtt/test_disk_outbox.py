"""The outbox on disk: what is durable when, and what a disk may do to it."""

import json
import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asd_agent.mqtt import disk_outbox
from asd_agent.mqtt.disk_outbox import SPILL_ROWS, DiskOutbox, open_outbox
from asd_agent.mqtt.medium import RETRY_S
from asd_agent.mqtt.queue import MAX_ROWS, PAGE_ROWS
from asd_agent.mqtt.row import Row
from asd_agent.mqtt.store import Store
from support.broker import wait_for
from support.outboxes import (
    FULL,
    Clock,
    Flaky,
    Jumping,
    config,
    on_disk,
    opened,
    settled,
    take_all,
)


class Slow(Flaky):
    """A store whose writing can be held up, and is counted."""

    def save(self, rows: Any, gone: Any, **keys: Any) -> Any:
        type(self).saves.append(len(rows))
        assert type(self).gate.wait(10)
        return super().save(rows, gone, **keys)

    saves: list[int]
    gate: threading.Event


@pytest.fixture
def slow() -> Iterator[type[Slow]]:
    class Own(Slow):
        pass

    Own.saves = []
    Own.gate = threading.Event()
    Own.gate.set()
    yield Own
    Own.gate.set()


@pytest.fixture
def flaky() -> type[Flaky]:
    class Own(Flaky):
        pass

    return Own


def put(outbox: DiskOutbox, *numbers: int, changed: bool = False) -> None:
    for number in numbers:
        outbox.put({"n": number, "pad": "x" * 300}, changed=changed, late=False)


def numbers(rows: list[Row]) -> list[int]:
    return [json.loads(row.message)["n"] for row in rows]


@contextmanager
def copied(folder: Path, to: Path) -> Iterator[Path]:
    """What is there if the process is killed now."""
    shutil.copytree(folder, to)
    yield to
    shutil.rmtree(to)


def test_a_change_is_on_disk_before_it_is_handed_over(
    tmp_path: Path, slow: type[Slow]
) -> None:
    with opened(tmp_path / "a", open_store=slow) as outbox:
        slow.gate.clear()
        put(outbox, 1)
        put(outbox, 2, changed=True)
        put(outbox, 3)
        assert numbers(outbox.take()) == [1]
        time.sleep(0.1)
        assert outbox.take() == [], "what follows the change waits with it"
        slow.gate.set()
        wait_for(lambda: not any(r.changed for r in _unsaved(outbox)), "it is written")
        with copied(tmp_path / "a", tmp_path / "b") as copy:
            assert on_disk(copy) == [2]
        assert numbers(outbox.take()) == [2, 3]
        assert outbox.undurable == 0


def _unsaved(outbox: DiskOutbox) -> list[Row]:
    with outbox._condition:
        return list(outbox._queue.unsaved.values())


def test_a_change_rings_when_it_may_be_taken(tmp_path: Path) -> None:
    rung = threading.Event()
    outbox = DiskOutbox(tmp_path, config())
    outbox.start(rung.set)
    try:
        wait_for(lambda: outbox._known, "the disk is read")
        rung.clear()
        put(outbox, 1, changed=True)
        assert rung.wait(5)
        assert numbers(outbox.take()) == [1]
    finally:
        outbox.close()


def test_scores_that_are_acknowledged_in_time_never_touch_the_disk(
    tmp_path: Path, slow: type[Slow]
) -> None:
    clock = Jumping()
    keys = {"commit_s": 30}
    with opened(tmp_path, open_store=slow, clock=clock, keys=keys) as outbox:
        for number in range(20):
            put(outbox, number)
            for row in outbox.take():
                outbox.done(row.key)
            clock.jump(20)
    assert slow.saves == []


def test_scores_that_wait_are_written_in_groups(
    tmp_path: Path, slow: type[Slow]
) -> None:
    clock = Clock()
    keys = {"commit_s": 10}
    with opened(tmp_path, open_store=slow, clock=clock, keys=keys) as outbox:
        for number in range(101):
            clock.now_s += 1
            put(outbox, number)
            if len(_unsaved(outbox)) > 10:
                wait_for(lambda: not _unsaved(outbox), "the group is written")
        assert slow.saves == [11] * 9
        assert len(_unsaved(outbox)) == 2


def test_rows_that_were_acknowledged_are_deleted(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as outbox:
        put(outbox, *range(40), changed=True)
        settled(outbox)
        for row in outbox.take()[:15]:
            outbox.done(row.key)
        settled(outbox)
        with copied(tmp_path / "a", tmp_path / "b") as copy:
            assert on_disk(copy) == list(range(15, 40))


def test_a_killed_agent_sends_first_what_was_on_disk(tmp_path: Path) -> None:
    with opened(tmp_path / "a") as outbox:
        put(outbox, *range(5), changed=True)
        put(outbox, *range(5, 50))
        settled(outbox)
        sent = {n: row.body for n, row in zip(range(5), outbox.take(), strict=False)}
        with copied(tmp_path / "a", tmp_path / "b") as copy:
            later = DiskOutbox(copy, config())
            later.put({"n": 50}, changed=False, late=False)
            later.start(lambda: None)
            wait_for(lambda: later._known, "the disk is read")
            wait_for(lambda: not later._queue.short, "a page is read")
            rows = later.take()
            assert numbers(rows) == list(range(20))
            assert all(json.loads(row.message)["replayed"] for row in rows)
            assert {n: rows[n].body for n in range(5)} == sent
            for row in rows:
                later.done(row.key)
            assert take_all(later) == list(range(20, 51))
            assert later.dropped == 0
            later.close()


def test_closing_keeps_what_waits(tmp_path: Path) -> None:
    with opened(tmp_path) as outbox:
        put(outbox, *range(700))
        for row in outbox.take():
            outbox.done(row.key)
        outbox.take()
    assert on_disk(tmp_path) == list(range(20, 700))


def test_memory_stays_bounded_whatever_waits(tmp_path: Path) -> None:
    with opened(tmp_path) as outbox:
        for at in range(0, 10_000, 250):
            put(outbox, *range(at, at + 250))
            wait_for(lambda: len(_unsaved(outbox)) < 300, "the disk keeps up")
            in_memory = len(outbox._queue._front) + len(outbox._queue._back)
            assert in_memory <= MAX_ROWS + PAGE_ROWS
        assert len(outbox) == 10_000
        assert take_all(outbox) == list(range(10_000))
        assert outbox.dropped == 0


def test_scores_grow_old_and_changes_do_not(tmp_path: Path) -> None:
    clock = Jumping()
    keys = {"max_age_s": 100, "commit_s": 0.5}
    with opened(tmp_path / "a", clock=clock, keys=keys) as outbox:
        put(outbox, 0, changed=True)
        put(outbox, *range(1, 30))
        clock.jump(80)
        put(outbox, *range(30, 60))
        settled(outbox)
        with copied(tmp_path / "a", tmp_path / "b") as copy:
            # The time in which no agent ran does not count.
            clock.jump(1e6)
            with opened(copy, clock=clock, keys=keys) as later:
                assert take_all(later) == list(range(60))
            clock.jump(-1e6)
        clock.jump(50)
        assert take_all(outbox) == [0, *range(30, 60)]
        assert outbox.dropped == 29


def test_what_grew_old_in_an_earlier_life_is_given_up(tmp_path: Path) -> None:
    clock = Jumping()
    keys = {"max_age_s": 100, "commit_s": 0.5}
    with opened(tmp_path, clock=clock, keys=keys) as outbox:
        put(outbox, *range(300))
        settled(outbox)
        clock.jump(60)
        put(outbox, 300)
    with opened(tmp_path, clock=clock, keys=keys) as outbox:
        clock.jump(60)
        assert take_all(outbox) == [300]
        assert outbox.dropped == 300


def test_a_disk_that_fails_is_gone_on_without_and_tried_again(
    tmp_path: Path, flaky: type[Flaky], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Jumping()
    with opened(tmp_path, open_store=flaky, clock=clock) as outbox:
        flaky.error = FULL
        put(outbox, 1, changed=True)
        wait_for(lambda: not outbox._medium.works, "the failure is seen")
        put(outbox, 2, changed=True)
        put(outbox, 3)
        rows = outbox.take()
        assert numbers(rows) == [1, 2, 3]
        assert outbox.undurable == 2
        assert flaky.opens == 1
        flaky.error = None
        clock.jump(RETRY_S)
        put(outbox, 4, changed=True)
        wait_for(lambda: 4 not in numbers(_unsaved(outbox)), "it is written")
        outbox.done(rows[0].key)
        assert outbox.undurable == 2
        assert flaky.opens == 2
    assert on_disk(tmp_path) == [2, 3, 4]
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == 1
    assert "disk is full" in said[0]
    assert "Make room" in said[0]
    assert outbox.dropped == 0


def test_without_a_disk_memory_is_full_one_day(
    tmp_path: Path, flaky: type[Flaky]
) -> None:
    flaky.error = sqlite3.OperationalError("disk I/O error")
    with opened(tmp_path, open_store=flaky) as outbox:
        put(outbox, 0, changed=True)
        put(outbox, *range(1, 1500))
        assert (len(outbox), outbox.dropped) == (MAX_ROWS, 500)
        assert take_all(outbox) == [0, *range(501, 1500)]


def test_what_is_on_disk_comes_when_it_can_be_read_again(
    tmp_path: Path, flaky: type[Flaky]
) -> None:
    clock = Jumping()
    with opened(tmp_path) as outbox:
        put(outbox, *range(300))
    flaky.error = sqlite3.OperationalError("attempt to write a readonly database")
    with opened(tmp_path, open_store=flaky, clock=clock) as outbox:
        put(outbox, 300, changed=True)
        put(outbox, 301)
        assert take_all(outbox) == [300, 301]
        flaky.error = None
        clock.jump(RETRY_S)
        put(outbox, 302, changed=True)
        wait_for(lambda: len(outbox) == 301, "the disk is read")
        assert take_all(outbox) == [*range(300), 302]
        assert (outbox.dropped, outbox.undurable) == (0, 1)


def test_a_disk_that_is_stuck_does_not_hold_back_an_alarm(
    tmp_path: Path, slow: type[Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_outbox, "PATIENCE_S", 0.2)
    with opened(tmp_path, open_store=slow) as outbox:
        slow.gate.clear()
        began_s = time.monotonic()
        put(outbox, 1, changed=True)
        put(outbox, *range(2, 1500))
        assert time.monotonic() - began_s < 5, "nobody waits for the disk"
        while not (rows := outbox.take()):
            assert time.monotonic() - began_s < 10
            time.sleep(0.01)
        assert numbers(rows)[0] == 1
        assert outbox.undurable == 1
        slow.gate.set()
        wait_for(lambda: outbox._medium.works, "the disk answers")


def test_a_broken_database_is_set_aside_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outbox.db").write_bytes(b"no database" * 1000)
    with opened(tmp_path) as outbox:
        put(outbox, 1, changed=True)
        settled(outbox)
    assert on_disk(tmp_path) == [1]
    (aside,) = tmp_path.glob("outbox.db.broken-*")
    assert aside.read_bytes() == b"no database" * 1000
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "cannot be read (file is not a database)" in said
    assert aside.name in said


def test_a_database_that_breaks_meanwhile_is_replaced(
    tmp_path: Path, flaky: type[Flaky]
) -> None:
    clock = Jumping()
    with opened(tmp_path, open_store=flaky, clock=clock, max_rows=50) as outbox:
        for at in range(0, 200, 40):
            put(outbox, *range(at, at + 40))
            settled(outbox)
        flaky.error = sqlite3.DatabaseError("database disk image is malformed")
        put(outbox, 200, changed=True)
        wait_for(lambda: not outbox._medium.works, "the failure is seen")
        flaky.error = None
        (tmp_path / "outbox.db-wal").unlink(missing_ok=True)
        (tmp_path / "outbox.db").write_bytes(b"no database" * 1000)
        clock.jump(RETRY_S)
        put(outbox, 201, changed=True)
        wait_for(lambda: outbox.dropped > 0, "it is set aside")
        settled(outbox)
        left = take_all(outbox)
        assert left == sorted(set(left))
        assert left[-20:] == list(range(182, 202))
        assert outbox.dropped == 202 - len(left) > 0


def test_two_agents_do_not_share_an_outbox(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as other:
        put(one, 1, changed=True)
        settled(one)
        put(other, 2, changed=True)
        assert numbers(other.take()) == [2]
        assert other.undurable == 1
        assert "End the other agent" in caplog.text
        assert numbers(one.take()) == [1]


@pytest.mark.parametrize("kind", ["file", "missing"])
def test_no_folder_is_no_error(tmp_path: Path, kind: str) -> None:
    parent = tmp_path / "state"
    if kind == "file":
        parent.write_text("not a folder")
    outbox = open_outbox(parent / "outbox", config())
    assert isinstance(outbox, DiskOutbox)
    outbox.start(lambda: None)
    wait_for(lambda: outbox._known or not outbox._medium.works, "it has tried")
    put(outbox, 1, changed=True)
    assert take_all(outbox) == [1]
    assert outbox.undurable == (kind == "file")
    outbox.close()


def test_before_the_start_rows_are_kept_in_memory(tmp_path: Path) -> None:
    outbox = DiskOutbox(tmp_path, config())
    put(outbox, 1)
    assert outbox.take() == [], "what an earlier life has left goes first"
    assert len(outbox) == 1
    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_a_change_does_not_wait_for_the_scores(tmp_path: Path) -> None:
    with opened(tmp_path, keys={"commit_s": 600}) as outbox:
        put(outbox, 1)
        time.sleep(0.1)
        put(outbox, 2, changed=True)
        wait_for(lambda: numbers(_unsaved(outbox)) == [1], "the change is written")


def test_many_scores_are_written_before_their_time(tmp_path: Path) -> None:
    with opened(tmp_path, keys={"commit_s": 600}) as outbox:
        put(outbox, *range(SPILL_ROWS - 1))
        time.sleep(0.1)
        assert len(_unsaved(outbox)) == SPILL_ROWS - 1
        put(outbox, SPILL_ROWS)
        wait_for(lambda: not _unsaved(outbox), "they are written")


def test_a_page_rings_when_it_may_be_taken(tmp_path: Path) -> None:
    with opened(tmp_path) as outbox:
        put(outbox, *range(300))
    rung = threading.Event()
    outbox = DiskOutbox(tmp_path, config())
    outbox.start(rung.set)
    taken: list[int] = []
    while len(taken) < 300:
        assert rung.wait(5), f"nothing rings after {taken}"
        rung.clear()
        while rows := outbox.take():
            taken += numbers(rows)
            for row in rows:
                outbox.done(row.key)
    assert taken == list(range(300))
    outbox.close()


def test_old_scores_leave_the_disk_without_a_broker(tmp_path: Path) -> None:
    clock = Jumping()
    keys = {"max_age_s": 100, "commit_s": 0.5}
    with opened(tmp_path, clock=clock, keys=keys, max_rows=50) as outbox:
        for at in range(0, 400, 40):
            put(outbox, *range(at, at + 40))
            clock.jump(1)
            settled(outbox)
        clock.jump(100)
        put(outbox, 400)
        settled(outbox)
        assert outbox.dropped > 200


def test_what_is_under_way_stays_on_disk_when_it_is_full(tmp_path: Path) -> None:
    keys = {"max_bytes": 262_144}
    with opened(tmp_path / "a", keys=keys) as outbox:
        put(outbox, *range(20))
        settled(outbox)
        assert len(outbox.take()) == 20
        for at in range(20, 820, 100):
            put(outbox, *range(at, at + 100))
            settled(outbox)
        assert outbox.dropped > 100
        with copied(tmp_path / "a", tmp_path / "b") as copy:
            assert on_disk(copy)[:20] == list(range(20))


def test_a_write_that_may_have_failed_is_made_good(
    tmp_path: Path, flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Jumping()
    written = threading.Event()
    save = Store.save

    def save_and_fail(store: Store, *args: Any, **keys: Any) -> list[int]:
        save(store, *args, **keys)
        written.set()
        raise sqlite3.OperationalError("disk I/O error")

    with opened(tmp_path, open_store=flaky, clock=clock) as outbox:
        monkeypatch.setattr(Store, "save", save_and_fail)
        put(outbox, 1, 2, changed=True)
        wait_for(lambda: not outbox._medium.works, "the failure is seen")
        monkeypatch.undo()
        assert written.is_set()
        for row in outbox.take():
            outbox.done(row.key)
        clock.jump(RETRY_S)
        put(outbox, 3, changed=True)
        settled(outbox)
    assert on_disk(tmp_path) == [3]


def test_a_bug_in_the_thread_is_told_and_survived(
    tmp_path: Path, flaky: type[Flaky], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Jumping()
    with opened(tmp_path, open_store=flaky, clock=clock) as outbox:
        flaky.error = ZeroDivisionError("a bug")
        put(outbox, 1, changed=True)
        wait_for(lambda: not outbox._medium.works, "the bug is seen")
        assert numbers(outbox.take()) == [1]
        flaky.error = None
        clock.jump(RETRY_S)
        put(outbox, 2, changed=True)
        settled(outbox)
    assert "ZeroDivisionError" in caplog.text
    assert on_disk(tmp_path) == [1, 2]
