"""An outbox that outlives the process and the power: rows go through a database.

Rules: only its own thread waits for the disk. A change of state is on disk before it
is handed over; a score only if it is not acknowledged within `commit_s`. Where the
disk is full, read-only, broken or stuck, everything goes on in memory, and the disk is
tried again every minute.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from asd_agent.config import OutboxConfig
from asd_agent.mqtt.medium import FAILURES, Medium, OpenStore
from asd_agent.mqtt.outbox import Outbox
from asd_agent.mqtt.queue import MAX_ROWS, PAGE_ROWS, Queue, Span
from asd_agent.mqtt.row import Row, encoded
from asd_agent.mqtt.store import Store

log = logging.getLogger(__name__)

FILE = "outbox.db"
SPILL_ROWS = MAX_ROWS // 2
"""Rows in memory alone that are written before they are `commit_s` old"""
GONE_ROWS = 500
"""Acknowledged rows that are deleted before they are so for `commit_s`"""
PATIENCE_S = 5.0
"""Seconds after which a disk that does not answer is not waited for any more"""
OPEN_PATIENCE_S = 30.0
"""The same where the whole database is read"""
CLOSE_S = 2.0
"""Seconds for the last writing"""


def open_outbox(folder: Path, config: OutboxConfig) -> Outbox:
    """Make the outbox of a state folder; whatever is wrong there, it works.

    It reads and writes nothing before `Outbox.start`.
    """
    return DiskOutbox(folder, config)


class DiskOutbox:
    """Rows in memory, and on disk as far as it is needed. Thread-safe.

    Parameters
    ----------
    folder
        Where the database lies; it is made where it is missing.
    clock
        Seconds that never jump, by which rows grow old. Only time in which an agent
        ran is counted: a wall clock that is set right would give up everything.
    """

    def __init__(
        self,
        folder: Path,
        config: OutboxConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        open_store: OpenStore = Store,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._config = config
        self._clock = clock
        self._began_s = clock()
        self._medium = Medium(
            folder / FILE, config.max_bytes, clock=self._now_s, open_store=open_store
        )
        self._queue = Queue(max_rows)
        self._condition = threading.Condition()
        self._nudged = False
        self._closing = False
        self._known = False
        self._gone_since_s: float | None = None
        self._ring: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    @property
    def dropped(self) -> int:
        """Rows given up: the store was full, or they were too old."""
        return self._queue.dropped

    @property
    def undurable(self) -> int:
        """Changes of state that were handed over before the disk held them."""
        return self._queue.undurable

    def __len__(self) -> int:
        with self._condition:
            return len(self._queue)

    def start(self, ring: Callable[[], None]) -> None:
        """Read what an earlier life has left, and begin to write."""
        self._ring = ring
        self._thread.start()

    def put(self, payload: Mapping[str, Any], *, changed: bool, late: bool) -> None:
        """Keep a message; a full store gives up its oldest, scores before changes."""
        body = encoded(payload)
        now_s = self._now_s()
        with self._condition:
            if body is None:
                self._queue.dropped += 1
                return
            self._queue.put(body, changed=changed, late=late, at_s=now_s)
            first = len(self._queue.unsaved) == 1
            if changed or first or self._is_due(now_s):
                self._nudge()

    def take(self) -> list[Row]:
        """Rows to hand over now, oldest first, so that `WINDOW` is kept."""
        with self._condition:
            disk = self._medium.works
            if disk and not self._known:
                return []  # what an earlier life has left goes first
            self._queue.expire(self._now_s() - self._config.max_age_s)
            rows = self._queue.take(disk=disk)
            if self._queue.short:
                self._nudge()
            return rows

    def done(self, key: int) -> None:
        """Forget a row; one that was given up meanwhile is no error."""
        with self._condition:
            self._queue.done(key)
            if len(self._queue.gone) in {1, GONE_ROWS}:
                self._nudge()

    def rewind(self) -> None:
        """Hand everything over again, marked late: the link is lost."""
        with self._condition:
            self._queue.rewind()

    def close(self) -> None:
        """Write what waits; give up after 2 s."""
        with self._condition:
            self._closing = True
            self._medium.retry_s = self._now_s()
            self._nudge()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _now_s(self) -> float:
        return self._clock() - self._began_s

    def _nudge(self) -> None:
        self._nudged = True
        self._condition.notify()

    # From here on it is the outbox's own thread.

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._condition:
                if not self._nudged:
                    self._condition.wait(self._idle_s())
                self._nudged = False
                closing = self._closing
            while self._work():
                pass
        self._medium.close()

    def _work(self) -> bool:
        """Do one thing with the disk; False: there is nothing to do."""
        rows: list[Row] = []
        try:
            if self._medium.store is None:
                return self._now_s() >= self._medium.retry_s and self._open()
            with self._condition:
                rows, gone = self._due(self._medium.store)
                handed = frozenset(self._queue.handed)
                span = self._queue.span if self._queue.short else None
            if rows or gone:
                self._save(self._medium.store, rows, gone, handed)
            elif span is not None:
                self._read(self._medium.store, span)
            return bool(rows or gone or span)
        except FAILURES as error:
            self._fail(rows, error)
        except Exception as error:
            # A bug here must not end the outbox for good.
            log.exception("MQTT: unexpected")
            self._fail(rows, error)
        return False

    def _open(self) -> bool:
        with self._medium.asked(OPEN_PATIENCE_S):
            store = self._medium.open()
            with self._condition:
                # Until they are written again, none of these goes to the disk alone.
                known = self._queue.reload()
                span = self._queue.span
            count = store.count(span, but=known)
        with self._condition:
            self._queue.adopt(count)
            self._known = True
        self._ring()
        return True

    def _due(self, store: Store) -> tuple[list[Row], dict[int, bool]]:
        """Rows to write now and keys to delete."""
        queue, now_s = self._queue, self._now_s()
        everything = self._closing or self._is_due(now_s)
        rows = queue.writable(store.batch_bytes, changes_only=not everything)
        if not queue.gone:
            self._gone_since_s = None
            return rows, {}
        since_s = now_s if self._gone_since_s is None else self._gone_since_s
        self._gone_since_s = since_s
        old = self._closing or now_s - since_s >= self._config.commit_s
        if rows or old or len(queue.gone) >= GONE_ROWS:
            return rows, dict(islice(queue.gone.items(), GONE_ROWS))
        return rows, {}

    def _save(
        self, store: Store, rows: list[Row], gone: dict[int, bool], keep: frozenset[int]
    ) -> None:
        before_s = self._now_s() - self._config.max_age_s
        with self._medium.asked(PATIENCE_S):
            given_up = store.save(rows, gone, before_s=before_s, keep=keep)
        with self._condition:
            self._queue.saved(rows, gone)
            self._queue.removed(given_up)
            self._gone_since_s = None
        if given_up:
            self._medium.full(store, self._queue.dropped)
        if any(row.changed for row in rows):
            self._ring()

    def _read(self, store: Store, span: Span) -> None:
        with self._medium.asked(PATIENCE_S):
            rows = store.page(span, PAGE_ROWS)
        with self._condition:
            self._queue.page(rows)
        self._ring()

    def _fail(self, rows: list[Row], error: Exception) -> None:
        self._medium.fail(error)
        with self._condition:
            self._queue.doubt(rows)
        self._ring()

    def _is_due(self, now_s: float) -> bool:
        """Whether rows in memory alone are many, or too long there."""
        unsaved = self._queue.unsaved
        if not unsaved:
            return False
        oldest = next(iter(unsaved.values()))
        old = now_s - oldest.at_s >= self._config.commit_s
        return old or len(unsaved) >= SPILL_ROWS

    def _idle_s(self) -> float | None:
        """Seconds until something is due; None: for ever."""
        moments_s = []
        if self._medium.store is None:
            moments_s.append(self._medium.retry_s)
        else:
            oldest = next(iter(self._queue.unsaved.values()), None)
            if oldest is not None:
                moments_s.append(oldest.at_s + self._config.commit_s)
            if self._gone_since_s is not None:
                moments_s.append(self._gone_since_s + self._config.commit_s)
        return max(0.0, min(moments_s) - self._now_s()) if moments_s else None
