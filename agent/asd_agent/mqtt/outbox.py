"""Messages that wait for the broker: bounded, in order, the oldest given up first."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

WINDOW = 20
"""Messages handed over and not yet acknowledged: what brokers allow by default"""


@dataclass(frozen=True, slots=True)
class Row:
    """One message that is kept until the broker has acknowledged it."""

    key: int
    """Rises with every message"""
    payload: Mapping[str, Any]
    changed: bool
    """Whether it tells of a change of state, which is given up last"""
    late: bool
    """Whether it could not be sent at once, or may have been sent before"""


class Outbox(Protocol):
    """A store of rows. Not thread-safe: the publisher holds its lock."""

    dropped: int
    """Rows given up because the store was full"""

    def __len__(self) -> int:
        """Rows that are not acknowledged."""
        ...

    def put(self, payload: Mapping[str, Any], *, changed: bool, late: bool) -> None:
        """Keep a message; a full store gives up its oldest."""
        ...

    def take(self) -> list[Row]:
        """Rows to hand over now, oldest first, so that `WINDOW` is kept."""
        ...

    def done(self, key: int) -> None:
        """Forget a row that the broker has acknowledged."""
        ...

    def rewind(self) -> None:
        """Hand everything over again, marked late: the link is lost."""
        ...


class MemoryOutbox:
    """An outbox that lives as long as the process."""

    def __init__(self, max_rows: int = 1000) -> None:
        self.dropped = 0
        self._max_rows = max_rows
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._handed: set[int] = set()
        self._next_key = 1

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, payload: Mapping[str, Any], *, changed: bool, late: bool) -> None:
        """Keep a message; a full store gives up its oldest, scores before changes."""
        if len(self._rows) >= self._max_rows:
            scores = (key for key, row in self._rows.items() if not row.changed)
            self._remove(next(scores, next(iter(self._rows))))
            self.dropped += 1
        self._rows[self._next_key] = Row(self._next_key, payload, changed, late)
        self._next_key += 1

    def take(self) -> list[Row]:
        """Rows to hand over now, oldest first, so that `WINDOW` is kept."""
        waiting = (row for key, row in self._rows.items() if key not in self._handed)
        rows = list(islice(waiting, max(0, WINDOW - len(self._handed))))
        self._handed.update(row.key for row in rows)
        return rows

    def done(self, key: int) -> None:
        """Forget a row; one that was given up meanwhile is no error."""
        self._remove(key)

    def rewind(self) -> None:
        """Hand everything over again, marked late: the link is lost."""
        self._handed.clear()
        for key, row in self._rows.items():
            self._rows[key] = replace(row, late=True)

    def _remove(self, key: int) -> None:
        self._rows.pop(key, None)
        self._handed.discard(key)
