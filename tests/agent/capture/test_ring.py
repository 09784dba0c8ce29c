"""The ring against a list that never forgets."""

from collections.abc import Callable
from itertools import pairwise
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.capture.ring import Ring


def _numbers(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)


class Model:
    """All samples ever written with their marks; reads are slices of them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.marks: list[tuple[bool, bool]] = []
        self.numbers: list[int] = []
        self.next = 0
        self.read_to = 0
        self.pending = False
        self.lapped = False

    def write(self, count: int, gap: bool, clipped: bool) -> None:
        marks = [(gap, clipped)] * count
        if count and self.pending:
            marks[0] = (True, clipped)
        self.pending = (self.pending or gap) and not count
        self.marks += marks
        self.numbers += range(self.next, self.next + count)
        self.next += count
        if len(self.marks) - self.capacity > self.read_to:
            self.read_to = len(self.marks) - min(count, self.capacity)
            self.lapped = True

    def skip(self, count: int) -> None:
        self.next += count
        self.pending = True

    def read(self, at_most: int) -> tuple[list[int], bool, bool] | None:
        first, past = self.read_to, min(len(self.marks), self.read_to + at_most)
        if first == past:
            return None
        # A block has no hole: it ends where samples are missing.
        holes = (
            at
            for at in range(first + 1, past)
            if self.numbers[at] != self.numbers[at - 1] + 1
        )
        past = self.read_to = next(holes, past)
        taken, lapped, self.lapped = self.marks[first:past], self.lapped, False
        gap = lapped or any(g for g, _ in taken)
        return self.numbers[first:past], gap, any(c for _, c in taken)


WRITE = st.tuples(st.just("write"), st.integers(0, 12), st.booleans(), st.booleans())
READ = st.tuples(st.just("read"), st.integers(1, 12), st.just(False), st.just(False))
MARK = st.tuples(st.just("mark"), st.just(0), st.just(True), st.just(False))
SKIP = st.tuples(st.just("skip"), st.integers(1, 12), st.just(True), st.just(False))


@given(st.integers(1, 8), st.lists(st.one_of(WRITE, READ, MARK, SKIP), max_size=40))
def test_reads_what_a_list_would_give(
    capacity: int, steps: list[tuple[str, int, bool, bool]]
) -> None:
    ring, model = Ring(capacity), Model(capacity)
    for verb, count, gap, clipped in steps:
        if verb == "write":
            ring.write(_numbers(model.next, count), gap, clipped)
            model.write(count, gap, clipped)
        elif verb == "mark":
            ring.mark_gap()
            model.write(0, gap=True, clipped=False)
        elif verb == "skip":
            ring.skip(count)
            model.skip(count)
        else:
            block, expected = ring.read(count, 0.0), model.read(count)
            if expected is None:
                assert block is None
                continue
            assert block is not None
            numbers, *marks = expected
            assert (block.start, [block.gap, block.clipped]) == (numbers[0], marks)
            np.testing.assert_array_equal(block.samples, numbers)
    assert ring.written == len(model.marks)
    assert ring.written + ring.skipped_samples == model.next


def test_a_slow_reader_goes_on_with_the_newest_and_is_told() -> None:
    ring = Ring(10)
    ring.write(_numbers(0, 4))
    assert ring.read(2, 0.0) is not None
    for start in range(4, 24, 5):
        ring.write(_numbers(start, 5))
    # Overtaken twice: when 14 and 24 had been written, five at a time.
    assert ring.overruns == 1
    assert ring.lost_samples == 17
    block = ring.read(4, 0.0)
    assert block is not None
    assert (block.start, block.gap) == (19, True)
    after = ring.read(100, 0.0)
    assert after is not None
    assert (after.start, after.gap, len(after.samples)) == (23, False, 1)
    ring.write(_numbers(24, 11))
    assert (ring.overruns, ring.lost_samples) == (2, 18)


def test_the_block_is_a_copy() -> None:
    ring = Ring(4)
    ring.write(_numbers(0, 4))
    block = ring.read(4, 0.0)
    ring.write(_numbers(50, 4))
    assert block is not None
    np.testing.assert_array_equal(block.samples, _numbers(0, 4))


def test_a_reader_waits_for_the_writer() -> None:
    ring = Ring(100)
    got: list[int] = []

    def read() -> None:
        while not ring.ended:
            block = ring.read(7, None)
            if block is not None:
                got.extend(int(x) for x in block.samples)

    reader = Thread(target=read)
    reader.start()
    for start in range(0, 90, 3):
        ring.write(_numbers(start, 3))
    ring.close()
    reader.join(5.0)
    assert not reader.is_alive()
    assert got == list(range(90))


def test_what_a_racing_reader_gets_is_in_order_and_adds_up() -> None:
    ring, total = Ring(64), 40_000
    writer = Thread(target=_write_all, args=(ring, total))
    writer.start()
    read, blocks = 0, []
    while not ring.ended:
        block = ring.read(50, 1.0)
        if block is not None:
            blocks.append(block)
            read += len(block.samples)
    writer.join(5.0)
    assert read + ring.lost_samples == total
    for block in blocks:
        expected = _numbers(block.start, len(block.samples))
        np.testing.assert_array_equal(block.samples, expected)
    for before, after in pairwise(blocks):
        assert after.gap == (after.start > before.start + len(before.samples))


def _write_all(ring: Ring, total: int) -> None:
    for start in range(0, total, 40):
        ring.write(_numbers(start, 40))
    ring.close()


def test_nothing_comes_within_the_timeout() -> None:
    ring = Ring(4)
    assert ring.read(4, 0.01) is None
    assert not ring.ended


def test_what_was_written_before_the_end_can_be_read() -> None:
    ring = Ring(4)
    ring.write(_numbers(0, 3))
    ring.close()
    ring.write(_numbers(3, 1))
    assert not ring.ended
    block = ring.read(9, None)
    assert block is not None
    assert len(block.samples) == 3
    assert ring.ended
    assert ring.read(9, None) is None


@pytest.mark.parametrize("act", [lambda: Ring(0), lambda: Ring(-1)])
def test_a_ring_needs_room(act: Callable[[], Ring]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        act()
