"""The rows of an outbox that are in memory, and what is known of those on disk.

No I/O, no clock, no thread. All rows in their order, oldest first::

    front: next to be handed over │ paged: on disk alone │ back: the newest

Rows of `front` and `back` may be on disk too; those that are not are `unsaved`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile

from asd_agent.mqtt.row import Row

WINDOW = 20
"""Messages handed over and not yet acknowledged: what brokers allow by default"""
MAX_ROWS = 1000
"""Rows in memory"""
PAGE_ROWS = 100
"""Rows that are read back from disk at once"""


@dataclass(frozen=True, slots=True)
class Span:
    """Keys of the rows that are on disk alone."""

    after: int = -(2**62)
    """A key before them: those of earlier lives are below 1"""
    upto: int = 0
    """Their last key"""


class Queue:
    """Rows that wait. Not thread-safe."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.dropped = 0
        """Rows given up"""
        self.undurable = 0
        """Changes of state that were handed over and are on no disk"""
        self.paged = 0
        """Rows that are on disk alone"""
        self.span = Span()
        """Where these lie"""
        self.unsaved: dict[int, Row] = {}
        """Rows that are in memory alone"""
        self.gone: dict[int, bool] = {}
        """Keys to be deleted from the disk; whether it is a change of state"""
        self.handed: set[int] = set()
        """Keys handed over and not acknowledged"""
        self._max_rows = max_rows
        self._front: dict[int, Row] = {}
        self._back: dict[int, Row] = {}
        self._last_key = 0
        self._late_upto = 0
        self._doubt_upto = 0

    def __len__(self) -> int:
        return len(self._front) + self.paged + len(self._back)

    # For those who leave rows and those who take them.

    def put(self, body: bytes, *, changed: bool, late: bool, at_s: float) -> None:
        """Add a row at the end; where there is no room the oldest is given up."""
        if len(self._front) + len(self._back) >= self._max_rows:
            self._make_room()
        self._last_key += 1
        row = Row(self._last_key, body, changed, late, at_s)
        self._back[row.key] = self.unsaved[row.key] = row

    def take(self, *, disk: bool) -> list[Row]:
        """Rows to hand over now.

        Parameters
        ----------
        disk
            Whether the disk works: then rows that are there alone, and changes that
            are not there yet, are waited for.
        """
        room = max(0, WINDOW - len(self.handed))
        rows = list(islice(self._next(disk), room))
        for row in rows:
            self.handed.add(row.key)
            if self._back.pop(row.key, None):
                self._front[row.key] = row
                self.undurable += row.changed and row.key in self.unsaved
        return [replace(r, late=r.late or r.key <= self._late_upto) for r in rows]

    def done(self, key: int) -> None:
        """Forget a row; one that was given up meanwhile is no error."""
        if key in self._front:
            self._forget(key)

    def rewind(self) -> None:
        """Let everything be handed over again, marked late."""
        self.handed.clear()
        self._late_upto = self._last_key

    def expire(self, before_s: float) -> None:
        """Give up scores in memory that were left before a moment."""
        rows = chain(self._front.values(), self._back.values())
        old = list(takewhile(lambda row: row.at_s < before_s, rows))
        for row in old:
            if not row.changed and row.key not in self.handed:
                self._give_up(row.key)

    # For the one who writes to the disk and reads from it.

    @property
    def short(self) -> bool:
        """Whether rows should be read back: soon there are none to hand over."""
        waiting = len(self._front) - len(self.handed)
        return self.paged > 0 and waiting < PAGE_ROWS // 2

    def writable(self, most_bytes: int, *, changes_only: bool) -> list[Row]:
        """Rows in memory alone, oldest first, of so many bytes but one at least."""
        rows: list[Row] = []
        for row in self.unsaved.values():
            if row.changed or not changes_only:
                most_bytes -= len(row.body)
                if rows and most_bytes < 0:
                    break
                rows.append(row)
        return rows

    def reload(self) -> list[int]:
        """Let every row in memory be written again: the disk was away.

        Returns
        -------
        list of int
            Keys of the span that are not on disk alone, if they are there at all.
        """
        self.unsaved = {**self._front, **self._back}
        known = chain(self._front, self.gone)
        return [key for key in known if self.span.after < key <= self.span.upto]

    def adopt(self, count: int) -> None:
        """Let so many rows be on disk alone, as they were counted there."""
        self.dropped += max(0, self.paged - count)
        self.paged = count

    def page(self, rows: list[Row]) -> None:
        """Take in the next rows of the span."""
        fresh = [r for r in rows if r.key not in self._front and r.key not in self.gone]
        self._front.update((row.key, row) for row in fresh)
        self.paged -= len(fresh)
        if rows:
            self.span = replace(self.span, after=rows[-1].key)
        else:
            self.adopt(0)

    def saved(self, rows: Iterable[Row], gone: Iterable[int]) -> None:
        """Note what was written to the disk, and what was deleted there."""
        for key in gone:
            self.gone.pop(key, None)
        for row in rows:
            if self.unsaved.pop(row.key, None) is None:
                # It was acknowledged, or given up, while it was written.
                self.gone[row.key] = row.changed

    def doubt(self, rows: Iterable[Row]) -> None:
        """Note that these may be on disk, or not, and that it has failed."""
        self._doubt_upto = self._last_key
        for row in rows:
            if row.key not in self.unsaved:
                self.gone[row.key] = row.changed

    def removed(self, keys: Iterable[int]) -> None:
        """Note what was given up on disk."""
        for key in keys:
            row = self._front.get(key) or self._back.get(key)
            if self.gone.pop(key, None) is not None:
                continue
            if row is None:
                self.paged -= 1
                self.dropped += 1
                continue
            self.unsaved[key] = row
            if key not in self.handed:  # its acknowledgement may be on its way
                self._give_up(key)

    def _next(self, disk: bool) -> Iterator[Row]:
        yield from (r for r in self._front.values() if r.key not in self.handed)
        if not (disk and self.paged):
            for row in self._back.values():
                if disk and row.changed and row.key in self.unsaved:
                    return
                yield row

    def _make_room(self) -> None:
        first = next(iter(self._back), None)
        if first is None or first in self.unsaved:
            self._give_up(next(self._expendable()))
            return
        # It is on disk as well, and so is everything that was left before it.
        del self._back[first]
        self.span = replace(self.span, upto=first)
        self.paged += 1

    def _expendable(self) -> Iterator[int]:
        """Keys in the order in which they are given up."""
        for changed in (False, True):
            for row in chain(self._front.values(), self._back.values()):
                if row.changed == changed and row.key not in self.handed:
                    yield row.key
        yield from self._front

    def _give_up(self, key: int) -> None:
        self._forget(key)
        self.dropped += 1

    def _forget(self, key: int) -> None:
        row = self._front.pop(key, None) or self._back.pop(key)
        self.handed.discard(key)
        unsaved = self.unsaved.pop(key, None) is not None
        if not unsaved or key <= self._doubt_upto:
            self.gone[key] = row.changed
