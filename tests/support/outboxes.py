"""Outboxes on disk for tests, and disks that fail as they are told to."""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asd_agent.config import OutboxConfig
from asd_agent.mqtt.disk_outbox import DiskOutbox
from asd_agent.mqtt.outbox import Outbox
from asd_agent.mqtt.row import Row
from asd_agent.mqtt.store import Base, Store
from support.broker import wait_for


class Clock:
    """Seconds that stand still but for what a test adds."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Jumping:
    """Seconds of this machine, and those that a test lets pass at once."""

    def __init__(self) -> None:
        self._more_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._more_s

    def jump(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self._more_s += seconds


class Flaky(Store):
    """A store that fails, or gets stuck, as long as it is told to."""

    error: Exception | None = None
    opens = 0

    def __init__(self, path: Path, max_bytes: int, base: Base | None = None) -> None:
        type(self).opens += 1
        self._say()
        super().__init__(path, max_bytes, base)

    def save(self, rows: Sequence[Row], gone: Mapping[int, bool], **keys: Any) -> Any:
        """Write, or fail."""
        self._say()
        return super().save(rows, gone, **keys)

    def page(self, *args: Any) -> list[Row]:
        """Read, or fail."""
        self._say()
        return super().page(*args)

    def _say(self) -> None:
        if self.error is not None:
            raise self.error


FULL = sqlite3.OperationalError("database or disk is full")


def config(**keys: Any) -> OutboxConfig:
    """One that commits soon."""
    return OutboxConfig.model_validate({"commit_s": 0.5} | keys)


@contextmanager
def opened(folder: Path, **parts: Any) -> Iterator[DiskOutbox]:
    """An outbox that has read what was on disk, and is closed in the end."""
    keys = parts.pop("keys", {})
    outbox = DiskOutbox(folder, config(**keys), **parts)
    outbox.start(lambda: None)
    wait_for(lambda: outbox._known or not outbox._medium.works, "the disk is read")
    try:
        yield outbox
    finally:
        outbox.close()
        assert not outbox._thread.is_alive()


def on_disk(folder: Path) -> list[int]:
    """Numbers of the rows in a database that nobody has open, in order."""
    store = Store(folder / "outbox.db", 67_108_864)
    try:
        base = store.base.key
        rows = store._database.execute(
            "SELECT key, body FROM scores UNION ALL SELECT key, body FROM changes "
            "ORDER BY key"
        ).fetchall()
    finally:
        store.close()
    assert all(key <= base for key, _ in rows)
    return [json.loads(body)["n"] for _, body in rows]


def settled(outbox: DiskOutbox) -> None:
    """Wait until nothing is in memory alone, and nothing is to be deleted."""
    wait_for(lambda: not (outbox._queue.unsaved or outbox._queue.gone), "all is saved")


def take_all(outbox: Outbox) -> list[int]:
    """Acknowledge everything that waits; the numbers in the order they came."""
    numbers: list[int] = []

    def empty() -> bool:
        while rows := outbox.take():
            for row in rows:
                numbers.append(json.loads(row.message)["n"])
                outbox.done(row.key)
        return not len(outbox)

    wait_for(empty, "all rows")
    return numbers
