"""The rows in memory against a disk that is a dictionary."""

import json
import random
from dataclasses import replace

import pytest

from asd_agent.mqtt.queue import PAGE_ROWS, WINDOW, Queue
from asd_agent.mqtt.row import Row

MAX_ROWS = 30


class Model:
    """A queue, the disk that it thinks it has, and what became of every row."""

    def __init__(self, earlier: int = 0) -> None:
        self.queue = Queue(MAX_ROWS)
        self.disk = {key: Row(key, b"{}", False, True) for key in range(1 - earlier, 1)}
        self.left = earlier
        self.delivered: set[int] = set()
        self.taken: list[int] = []
        self.handed: list[Row] = []
        self.writing: tuple[list[Row], dict[int, bool]] | None = None
        self.works = True
        self.queue.adopt(earlier)

    def put(self, changed: bool = False) -> None:
        body = json.dumps(self.left).encode()
        self.queue.put(body, changed=changed, late=False, at_s=float(self.left))
        self.left += 1

    def burst(self) -> None:
        for _ in range(12):
            self.put()

    def take(self) -> None:
        rows = self.queue.take(disk=self.works)
        if self.works:
            for row in rows:
                held = row.key in self.queue.unsaved and not row.late
                assert not (row.changed and held), "a change that is not durable"
        self.handed += rows
        self.taken += [row.key for row in rows]
        assert len(self.handed) <= WINDOW

    def ack(self) -> None:
        if self.handed:
            row = self.handed.pop(0)
            assert row.key not in self.delivered
            self.delivered.add(row.key)
            self.queue.done(row.key)

    def rewind(self) -> None:
        self.handed.clear()
        self.queue.rewind()

    def begin(self) -> None:
        """The thread of the disk begins to write."""
        if self.writing is None and self.works:
            rows = self.queue.writable(10**9, changes_only=False)
            self.writing = rows, dict(self.queue.gone)

    def end(self) -> None:
        """It has written."""
        if self.writing is not None:
            rows, gone = self.writing
            self._apply()
            self.queue.saved(rows, gone)

    def fail(self) -> None:
        """It has not, or not quite."""
        rows = self.writing[0] if self.writing else []
        if len(self.delivered) % 2:
            self._apply()
        self.writing, self.works = None, False
        self.queue.doubt(rows)

    def reopen(self) -> None:
        if not self.works:
            self.works = True
            known = self.queue.reload()
            self.queue.adopt(len(set(self._span()) - set(known)))

    def renew(self) -> None:
        """The database is set aside and a new one is begun."""
        self.fail()
        self.disk.clear()
        self.reopen()

    def page(self) -> None:
        if self.writing is None and self.works and self.queue.paged:
            rows = [replace(self.disk[key], late=True) for key in self._span()[:5]]
            self.queue.page(rows)

    def full(self) -> None:
        """The disk gives up its oldest two."""
        if self.writing is None and self.works:
            keys = [key for key in sorted(self.disk) if key not in self.queue.handed]
            for key in keys[:2]:
                del self.disk[key]
            self.queue.removed(keys[:2])

    def overfull(self) -> None:
        """It gives up what was handed over in that very moment."""
        if self.writing is None and self.works:
            keys = sorted(self.disk)[:2]
            for key in keys:
                del self.disk[key]
            self.queue.removed(keys)

    def check(self) -> None:
        """What the queue thinks to be on disk is there."""
        memory = {**self.queue._front, **self.queue._back}
        assert len(memory) <= MAX_ROWS + PAGE_ROWS
        if self.works and self.writing is None:
            assert set(memory) - set(self.queue.unsaved) <= set(self.disk)
            alone = set(self._span()) - set(memory) - set(self.queue.gone)
            assert len(alone) == self.queue.paged

    def finish(self) -> None:
        """Deliver everything."""
        self.reopen()
        self.end()
        while len(self.queue):
            for step in (self.take, self.begin, self.end, self.page):
                step()
            while self.handed:
                self.ack()
        self.begin()
        self.end()

    def _span(self) -> list[int]:
        span = self.queue.span
        return [key for key in sorted(self.disk) if span.after < key <= span.upto]

    def _apply(self) -> None:
        if self.writing is not None:
            rows, gone = self.writing
            for key in gone:
                self.disk.pop(key, None)
            self.disk.update((row.key, row) for row in rows)
            self.writing = None


WELL = (
    *("put", "take", "ack", "begin", "end") * 3,
    "change",
    "burst",
    "rewind",
    "page",
)
ILL = (*WELL, "fail", "reopen", "reopen", "renew", "full", "overfull")


def play(model: Model, steps: tuple[str, ...], seed: int) -> None:
    for step in random.Random(seed).choices(steps, k=120):
        if step == "change":
            model.put(changed=True)
        else:
            getattr(model, step)()
        model.check()


@pytest.mark.parametrize("earlier", [0, 7])
def test_nothing_is_lost_uncounted_whatever_the_disk_does(earlier: int) -> None:
    for seed in range(400):
        model = Model(earlier)
        play(model, ILL, seed)
        ended = len(model.delivered) + model.queue.dropped
        assert model.left == ended + len(model.queue), seed
        model.finish()
        assert model.left == len(model.delivered) + model.queue.dropped, seed
        assert model.disk == {}, f"{seed}: what is not needed is deleted"
        assert model.queue.gone == {}, seed


@pytest.mark.parametrize("earlier", [0, 7])
def test_with_a_disk_that_works_the_order_stays(earlier: int) -> None:
    whole = 0
    for seed in range(400):
        model = Model(earlier)
        play(model, WELL, seed)
        model.finish()
        order = list(dict.fromkeys(model.taken))
        assert order == sorted(order), seed
        if model.queue.dropped == 0:
            whole += 1
            assert len(order) == model.left
    assert whole > 20
