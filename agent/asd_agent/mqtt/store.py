"""Rows on disk: an SQLite database that survives the loss of power and stays small.

Rules: what `save` has returned from is on the medium; one process has the database; it
and its log together keep below `max_bytes`, whatever comes; where there is no room the
oldest rows are given up, scores before changes of state.
"""

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_agent.bundle.disk import Disk
from asd_agent.mqtt.broken import LOG
from asd_agent.mqtt.queue import Span
from asd_agent.mqtt.row import Row

LAYOUT = 1
"""Rises when the tables change"""
PAGE_BYTES = 4096
MIN_LOG_BYTES, MAX_LOG_BYTES = 32_768, 1_048_576
"""Length of SQLite's log at which it is written into the database"""
SLACK_BYTES = 65_536
"""What one transaction may take beyond a limit"""
TAKEN_OUT = 64
"""Rows that are given up at once, so that there is room for more than one"""
SHRINK_BYTES = 1_048_576
"""An empty database that is larger gives its room back"""

# Two tables, so that the oldest score is found without an index. Keys are given by the
# queue, above all that were on disk: AUTOINCREMENT would write one more page each time.
_TABLE = (
    "CREATE TABLE {} (key INTEGER PRIMARY KEY, at_s REAL NOT NULL, body BLOB NOT NULL)"
)
# One flipped bit makes a text of bytes, which nobody could send.
_WRONG = (
    "SELECT EXISTS (SELECT * FROM {} WHERE typeof(body) <> 'blob' OR "
    "typeof(at_s) <> 'real')"
)
_NO_VALUES = (TypeError, ValueError)
"""What a name that is no text, or a number that is none, leads to"""
_PAGE = (
    "SELECT key, body, 0, at_s FROM scores WHERE key > ? AND key <= ? UNION ALL "
    "SELECT key, body, 1, at_s FROM changes WHERE key > ? AND key <= ? "
    "ORDER BY key LIMIT ?"
)


class Broken(Exception):
    """The database cannot be read."""


@dataclass(frozen=True, slots=True)
class Base:
    """The last on disk before this process: its own keys and times follow it."""

    key: int
    at_s: float


class Store:
    """The open database.

    Parameters
    ----------
    base
        That of this process, where it has opened the database before.

    Raises
    ------
    Broken
        It cannot be read.
    sqlite3.Error, OSError
        It cannot be opened or written now.
    """

    def __init__(self, path: Path, max_bytes: int, base: Base | None = None) -> None:
        self._path = path
        there = _free(path.parent) + _size(path) + _size(path, LOG)
        log_bytes = max(MIN_LOG_BYTES, min(max_bytes, there) // 8)
        self._log_bytes = min(MAX_LOG_BYTES, log_bytes)
        self._longest_bytes = 2 * self._log_bytes + SLACK_BYTES
        """That of the log: it may pass its limit by one batch, in half empty pages"""
        self._most_pages = (max_bytes - self._longest_bytes) // PAGE_BYTES
        self.batch_bytes = self._log_bytes // 2
        """Content of the rows that should be saved at once"""
        self.cramped = False
        """Whether the medium, rather than `max_bytes`, left no room for more"""
        self._database = sqlite3.connect(
            path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._begin()
            self.base = base or self._last()
            Disk().sync_path(path.parent)
        except BaseException as error:
            self._database.close()
            # What it holds is wrong, and not the medium.
            if type(error) is sqlite3.DatabaseError or isinstance(error, _NO_VALUES):
                raise Broken(str(error)) from error
            raise

    def count(self, span: Span, but: Iterable[int] = ()) -> int:
        """Rows of a span, without some keys of it."""
        asked = "SELECT count(*) FROM {} WHERE key > ? AND key <= ?"
        both = [_of(changed, asked) for changed in (False, True)]
        count: int = sum(self._one(sql, *self._keys(span)) for sql in both)
        for key in but:
            one = self._keys(Span(key - 1, key))
            count -= sum(self._one(sql, *one) for sql in both)
        return count

    def page(self, span: Span, limit: int) -> list[Row]:
        """Read the oldest rows of a span."""
        found = self._database.execute(_PAGE, (*self._keys(span) * 2, limit))
        return [
            Row(key - self.base.key, body, bool(changed), True, at_s - self.base.at_s)
            for key, body, changed, at_s in found
        ]

    def save(
        self,
        rows: Sequence[Row],
        gone: Mapping[int, bool],
        *,
        before_s: float,
        keep: Iterable[int] = (),
    ) -> list[int]:
        """Write rows and delete those that are not needed: both or neither.

        Parameters
        ----------
        before_s
            Scores that were left earlier are given up.
        keep
            Keys that are not given up.

        Returns
        -------
        list of int
            Keys that were given up.
        """
        kept = {key + self.base.key for key in keep}
        with self._transaction():
            for key, changed in gone.items():
                self._delete(changed, [key + self.base.key])
            given_up = self._expire(before_s + self.base.at_s, kept)
            given_up += self._make_room(rows, kept)
            for row in rows:
                put = _of(row.changed, "INSERT OR REPLACE INTO {} VALUES (?, ?, ?)")
                at_s = row.at_s + self.base.at_s
                self._database.execute(put, (row.key + self.base.key, at_s, row.body))
        if not rows:
            self._shrink()
        return [key - self.base.key for key in given_up]

    def close(self) -> None:
        """Bring the database up to date and let go of it."""
        self._database.close()

    def _begin(self) -> None:
        settings = (
            f"page_size = {PAGE_BYTES}",
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = FULL",
            # Some builds overwrite what is deleted, which only wears the medium.
            "secure_delete = OFF",
            f"wal_autocheckpoint = {self._log_bytes // PAGE_BYTES}",
            f"journal_size_limit = {self._log_bytes + SLACK_BYTES}",
            f"max_page_count = {self._most_pages + SLACK_BYTES // PAGE_BYTES}",
            "temp_store = MEMORY",
            "cache_size = -512",
        )
        for setting in settings:
            self._database.execute(f"PRAGMA {setting}").fetchall()
        self._check()
        if self._one("PRAGMA user_version") == LAYOUT:
            if any(self._one(_of(changed, _WRONG)) for changed in (False, True)):
                raise Broken("a row holds other values than were written")
            return
        if self._one("SELECT count(*) FROM sqlite_master"):
            raise Broken("it was not written by this software")
        with self._transaction():
            for changed in (False, True):
                self._database.execute(_of(changed, _TABLE))
            self._database.execute(f"PRAGMA user_version = {LAYOUT}")

    def _check(self) -> None:
        try:
            found = self._one("PRAGMA quick_check(1)")
        except sqlite3.OperationalError as error:
            # A sector that cannot be read will not be readable tomorrow.
            raise Broken(str(error)) from error
        if found != "ok":
            raise Broken(str(found))

    def _last(self) -> Base:
        newest = "SELECT key, at_s FROM {} ORDER BY key DESC LIMIT 1"
        found = [(0, 0.0)]
        for changed in (False, True):
            found += self._database.execute(_of(changed, newest))
        return Base(max(key for key, _ in found), max(at_s for _, at_s in found))

    def _expire(self, before_s: float, kept: set[int]) -> list[int]:
        expired: list[int] = []
        asked = "SELECT key, at_s FROM scores ORDER BY key LIMIT ?"
        while True:
            oldest = self._database.execute(asked, (TAKEN_OUT + len(kept),))
            old = [key for key, at_s in oldest if at_s < before_s and key not in kept]
            if not old:
                return expired
            self._delete(False, old)
            expired += old

    def _make_room(self, rows: Sequence[Row], kept: set[int]) -> list[int]:
        given_up: list[int] = []
        # A page may stay half empty, and some are needed to find the others.
        needed = sum(2 * len(row.body) for row in rows) // PAGE_BYTES + 6
        limit = self._limit_pages()
        asked = "SELECT key FROM {} ORDER BY key LIMIT ?"
        for changed in (False, True):
            while rows and self._used_pages() + needed > limit:
                oldest = self._database.execute(
                    _of(changed, asked), (TAKEN_OUT + len(kept),)
                )
                keys = [key for (key,) in oldest if key not in kept]
                if not keys:
                    break
                self._delete(changed, keys)
                given_up += keys
        return given_up

    def _limit_pages(self) -> int:
        """Pages that may be used, so that the medium has room for each of them."""
        pages = self._one("PRAGMA page_count")
        free = _free(self._path.parent) - SLACK_BYTES
        # What is counted already and reaches the file later, and the rest of the log:
        # without room for these nothing could be written, not even what makes room.
        free -= pages * PAGE_BYTES - _size(self._path)
        free -= self._longest_bytes - _size(self._path, LOG)
        limit = int(pages + max(0, free) // PAGE_BYTES)
        self.cramped = limit < self._most_pages
        return min(limit, self._most_pages)

    def _used_pages(self) -> int:
        count: int = self._one("PRAGMA page_count")
        return count - int(self._one("PRAGMA freelist_count"))

    def _shrink(self) -> None:
        if self._one("PRAGMA page_count") * PAGE_BYTES > SHRINK_BYTES:
            asked = (
                "SELECT EXISTS (SELECT * FROM scores) + EXISTS (SELECT * FROM changes)"
            )
            if not self._one(asked):
                with contextlib.suppress(sqlite3.OperationalError):
                    self._database.execute("VACUUM")

    def _delete(self, changed: bool, keys: Iterable[int]) -> None:
        sql = _of(changed, "DELETE FROM {} WHERE key = ?")
        self._database.executemany(sql, [(key,) for key in keys])

    def _keys(self, span: Span) -> tuple[int, int]:
        return span.after + self.base.key, span.upto + self.base.key

    def _one(self, sql: str, *values: int) -> Any:
        found = self._database.execute(sql, values).fetchone()
        return None if found is None else found[0]

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise


def _of(changed: bool, sql: str) -> str:
    """Name the table of changes or that of scores."""
    return sql.format("changes" if changed else "scores")


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def _size(path: Path, suffix: str = "") -> int:
    try:
        return path.with_name(path.name + suffix).stat().st_size
    except FileNotFoundError:
        return 0
