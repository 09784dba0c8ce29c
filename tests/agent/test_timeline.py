"""A second of the counter is a second of the day, also while the device is away."""

from datetime import datetime, timedelta, timezone

import numpy as np

from asd_agent.capture.chunk import Block
from asd_agent.timeline import Timeline

BEGIN = datetime(2026, 11, 22, tzinfo=timezone.utc)


class Times:
    """Both clocks of a machine."""

    def __init__(self) -> None:
        self.now_s = 50.0
        self.utc = BEGIN

    def pass_by(self, seconds: float) -> None:
        self.now_s += seconds
        self.utc += timedelta(seconds=seconds)

    def timeline(self) -> Timeline:
        return Timeline("pump", 1000, lambda: self.now_s, lambda: self.utc)


def block(start: int, count: int = 100) -> Block:
    return Block(np.zeros(count, np.float32), start, gap=False)


def test_the_first_feed_starts_at_0() -> None:
    times = Times()
    line = times.timeline()
    times.pass_by(3.0)  # opening takes time: nobody listens yet
    line.begin(1000)
    first = line.place(block(0), live=True)
    assert (first.start, first.gap, line.counter) == (0, False, 100)
    assert line.place(block(100), live=True).start == 100


def test_the_time_without_a_device_is_counted() -> None:
    times = Times()
    line = times.timeline()
    line.place(block(0), live=True)
    times.pass_by(30.0)
    line.pass_by()
    assert line.counter == 30_100
    times.pass_by(2.0)
    line.begin(1000)
    after = line.place(block(0), live=True)
    assert (after.start, after.gap) == (32_000, True)
    assert line.place(block(100), live=True).start == 32_100
    assert not line.place(block(200), live=True).gap


def test_a_recording_has_no_time_between_feeds() -> None:
    times = Times()
    line = times.timeline()
    line.place(block(0), live=False)
    times.pass_by(30.0)
    line.begin(1000)
    assert line.place(block(0), live=False).start == 100


def test_a_hole_in_a_feed_stays_one() -> None:
    line = Times().timeline()
    line.place(block(0), live=True)
    assert line.place(block(700), live=True).start == 700
    assert line.counter == 800


def test_another_rate_counts_on() -> None:
    times = Times()
    line = times.timeline()
    line.place(block(0, 500), live=False)
    line.begin(2000)
    assert (line.counter, line.rate_hz) == (1000, 2000)
    assert line.place(block(0), live=False).start == 1000
    assert line.anchor.rate_hz == 2000


def test_the_anchor_moves_when_the_clock_is_set() -> None:
    times = Times()
    line = times.timeline()
    before = line.anchor
    times.pass_by(0.1)
    line.place(block(0), live=True)
    assert line.anchor is before
    times.utc += timedelta(hours=1)
    line.place(block(100), live=True)
    assert line.anchor.at(200) == times.utc
