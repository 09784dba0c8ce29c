"""The database of waiting rows, on a real disk."""

import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asd_agent.mqtt.queue import Span
from asd_agent.mqtt.row import Row
from asd_agent.mqtt.store import SHRINK_BYTES, Broken, Store

SMALL = 262_144
EVERYTHING = Span(upto=10**9)
NEVER_S = -1e9


@contextmanager
def opened(folder: Path, max_bytes: int = SMALL) -> Iterator[Store]:
    store = Store(folder / "outbox.db", max_bytes)
    try:
        yield store
    finally:
        store.close()


def row(key: int, *, changed: bool = False, size: int = 400, at_s: float = 0.0) -> Row:
    return Row(key, f"{key} ".encode().ljust(size, b"x"), changed, False, at_s)


def save(
    store: Store, rows: Iterable[Row], *gone: Row, before_s: float = NEVER_S
) -> list[int]:
    return store.save(list(rows), {r.key: r.changed for r in gone}, before_s=before_s)


def keys_in(store: Store) -> list[int]:
    return [row.key for row in store.page(EVERYTHING, 10**6)]


def used_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def test_rows_come_back_as_they_were_but_late(tmp_path: Path) -> None:
    rows = [row(key, changed=key % 3 == 0, at_s=key / 2) for key in range(1, 10)]
    with opened(tmp_path) as store:
        save(store, rows)
        found = store.page(EVERYTHING, 100)
        assert [r.late for r in found] == [True] * 9
        assert [Row(r.key, r.body, r.changed, False, r.at_s) for r in found] == rows


def test_pages_follow_each_other(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        save(store, [row(key, changed=key % 2 == 0) for key in range(1, 10)])
        assert [r.key for r in store.page(Span(0, 7), 4)] == [1, 2, 3, 4]
        assert [r.key for r in store.page(Span(4, 7), 4)] == [5, 6, 7]
        assert store.count(Span(0, 7)) == 7
        assert store.count(Span(0, 7), but=[2, 3, 99]) == 5


def test_the_next_life_counts_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        assert (store.base.key, store.base.at_s) == (0, 0)
        save(store, [row(1, at_s=5.0), row(2, at_s=9.0, changed=True)])
        save(store, [row(3, at_s=9.5)])
    with opened(tmp_path) as store:
        assert (store.base.key, store.base.at_s) == (3, 9.5)
        assert [(r.key, r.at_s) for r in store.page(Span(), 10)] == [
            (-2, -4.5),
            (-1, -0.5),
            (0, 0.0),
        ]
        save(store, [row(1, at_s=1.0)])
        assert keys_in(store) == [-2, -1, 0, 1]
        assert store.count(Span()) == 3


def test_what_is_written_twice_is_there_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        save(store, [row(1), row(2)])
        save(store, [row(2), row(3)])
        assert keys_in(store) == [1, 2, 3]


def test_old_scores_are_given_up_and_changes_stay(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        rows = [row(k, at_s=float(k), changed=k % 50 == 0) for k in range(1, 201)]
        save(store, rows)
        given_up = save(store, [], before_s=150.0)
        assert sorted(given_up) == [k for k in range(1, 150) if k % 50]
        assert keys_in(store) == [50, 100, *range(150, 201)]


def test_a_full_store_gives_up_the_oldest_scores_then_changes(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        save(store, [row(key, changed=True) for key in range(1, 51)])
        given_up: list[int] = []
        for at in range(51, 951, 10):
            given_up += save(store, [row(key) for key in range(at, at + 10)])
        assert given_up == list(range(51, 51 + len(given_up)))
        assert keys_in(store) == [*range(1, 51), *range(51 + len(given_up), 951)]
        for at in range(951, 1951, 10):
            changes = [row(key, changed=True) for key in range(at, at + 10)]
            given_up += save(store, changes)
        left = keys_in(store)
        assert left == list(range(left[0], 1951)), "the newest changes"
        assert sorted([*given_up, *left]) == list(range(1, 1951))


def test_what_is_kept_is_not_given_up(tmp_path: Path) -> None:
    kept = [1, 2, 7]
    with opened(tmp_path) as store:
        given_up: list[int] = []
        for at in range(1, 901, 10):
            rows = [row(key) for key in range(at, at + 10)]
            given_up += store.save(rows, {}, before_s=NEVER_S, keep=kept)
        assert given_up
        assert set(kept) <= set(keys_in(store))


@pytest.mark.parametrize("max_bytes", [SMALL, 1_000_000])
def test_the_files_stay_below_the_limit(tmp_path: Path, max_bytes: int) -> None:
    draw = random.Random(1)
    key, most, given_up = 0, 0, 0
    live: list[Row] = []
    with opened(tmp_path, max_bytes) as store:
        for _ in range(400):
            rows, content = [], 0
            wanted = draw.choice([0, 3000, store.batch_bytes])
            while content < wanted:
                key += 1
                size = draw.choice([300, 500, 2100, 5000])
                rows.append(row(key, changed=draw.random() < 0.1, size=size))
                content += size
            gone = draw.sample(live, min(len(live), draw.choice([0, 0, 10])))
            lost = set(save(store, rows, *gone))
            given_up += len(lost)
            live = [r for r in [*live, *rows] if r.key not in lost and r not in gone]
            most = max(most, used_bytes(tmp_path))
        assert keys_in(store) == sorted(r.key for r in live)
    assert given_up > 100
    assert max_bytes / 2 < most <= max_bytes


def test_an_empty_store_gives_its_room_back(tmp_path: Path) -> None:
    rows = [row(key, size=2000) for key in range(1, 1500)]
    with opened(tmp_path, 67_108_864) as store:
        save(store, rows)
        save(store, [], *rows[1:])
        large = used_bytes(tmp_path)
        save(store, [], rows[0])
    assert large > SHRINK_BYTES
    assert used_bytes(tmp_path) < 100_000


def test_a_failed_write_leaves_nothing_of_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        save(store, [row(1)])
        wrong = Row(2, "no bytes", False, False, None)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            save(store, [row(3), wrong], row(1))
        assert keys_in(store) == [1]
        save(store, [row(4)])
        assert keys_in(store) == [1, 4]


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE songs (name TEXT)")
    database.close()


def _other_layout(path: Path) -> None:
    with opened(path.parent) as store:
        store._database.execute("PRAGMA user_version = 99")


def _overwritten(path: Path) -> None:
    with opened(path.parent) as store:
        save(store, [row(key) for key in range(1, 200)])
    raw = bytearray(path.read_bytes())
    raw[3 * 4096 : 5 * 4096] = b"\xa5" * 8192
    path.write_bytes(raw)


def _truncated(path: Path) -> None:
    with opened(path.parent) as store:
        save(store, [row(key) for key in range(1, 200)])
    with path.open("r+b") as file:
        file.truncate(5 * 4096)


def _text(path: Path) -> None:
    """What one bit can do."""
    with opened(path.parent) as store:
        save(store, [row(1)])
        store._database.execute("UPDATE scores SET body = CAST(body AS TEXT)")


def _no_time(path: Path) -> None:
    with opened(path.parent) as store:
        save(store, [row(1, changed=True)])
        store._database.execute("UPDATE changes SET at_s = 'soon'")


def _no_name(path: Path) -> None:
    """The names of the tables are no text: Python cannot say what is wrong."""
    with opened(path.parent) as store:
        save(store, [row(1)])
    raw = path.read_bytes()
    assert raw.count(b"CREATE TABLE scores") == 1
    path.write_bytes(raw.replace(b"CREATE TABLE scores", b"CREATE \xa4ABLE scores"))


HARMS = (_garbage, _foreign, _other_layout, _overwritten, _truncated)


@pytest.mark.parametrize("harm", [*HARMS, _text, _no_time, _no_name])
def test_what_cannot_be_read_is_told_as_such(tmp_path: Path, harm: object) -> None:
    harm(tmp_path / "outbox.db")  # type: ignore[operator]
    with pytest.raises(Broken):
        Store(tmp_path / "outbox.db", SMALL)


def test_a_file_without_content_is_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").touch()
    with opened(tmp_path) as store:
        assert keys_in(store) == []


def test_there_is_one_user_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(sqlite3.OperationalError, match="locked"):
        Store(tmp_path / "outbox.db", SMALL)


def test_a_place_that_cannot_be_written_is_not_called_broken(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").mkdir()
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        Store(tmp_path / "outbox.db", SMALL)
