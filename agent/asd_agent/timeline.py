"""The sample counter of one source, over every device, rate and silence.

It runs as long as the source is listened to, also while the device is away: how long
that was a clock must tell. So a second of the counter is a second of the day.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from asd_agent.capture.chunk import Block
from asd_agent.mqtt.clock import Anchor

log = logging.getLogger(__name__)

CLOCK_JUMP_S = 2.0
"""A wall clock this far from the sample counter was set, or the rate is off"""


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Timeline:
    """Counts samples, and ties them to the wall clock.

    Parameters
    ----------
    name
        Of the source, for the log.
    rate_hz
        Samples a second of the counter, until `begin` changes it.
    clock
        Monotonic seconds.
    utc_now
        The wall clock.
    """

    def __init__(
        self,
        name: str,
        rate_hz: int,
        clock: Callable[[], float] = time.monotonic,
        utc_now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self.counter = 0
        """Sample counter just past the newest sound, or silence of the device"""
        self.rate_hz = rate_hz
        self._name = name
        self._clock = clock
        self._utc_now = utc_now
        self._seen_s: float | None = None
        self._offset = 0
        self._first = True
        self.anchor = self._anchor_now()
        """Ties the counter to the wall clock"""

    def begin(self, rate_hz: int) -> None:
        """Count on with another feed, which numbers its samples from 0."""
        self.counter = self.counter * rate_hz // self.rate_hz
        self.rate_hz = rate_hz
        self._first = True
        self.anchor = self._anchor_now()

    def pass_by(self) -> None:
        """Count the time since the newest sound: the device gives none."""
        now_s = self._clock()
        if self._seen_s is not None:
            self.counter += max(0, round((now_s - self._seen_s) * self.rate_hz))
        self._seen_s = now_s

    def place(self, block: Block, *, live: bool) -> Block:
        """Give a block of the feed its place on the counter.

        The first block of a feed that is not the first one has a gap before it, as
        long as the clock says if the source is `live`.
        """
        now_s, count = self._clock(), len(block.samples)
        if self._first:
            missed = 0
            if live and self._seen_s is not None:
                passed = round((now_s - self._seen_s) * self.rate_hz)
                missed = max(0, passed - count)
            start = self.counter + missed
            self._first, self._offset = False, start - block.start
            block = replace(block, gap=block.gap or start > 0)
        block = replace(block, start=block.start + self._offset)
        self.counter = block.start + count
        self._seen_s = now_s
        if live:
            self._mind_the_clock()
        return block

    def _anchor_now(self) -> Anchor:
        return Anchor(self._utc_now(), self.counter, self.rate_hz)

    def _mind_the_clock(self) -> None:
        """Tie the counter to the wall clock anew where the two have parted."""
        now = self._anchor_now()
        drift_s = (now.utc - self.anchor.at(self.counter)).total_seconds()
        if abs(drift_s) > CLOCK_JUMP_S:
            log.warning("%s: clock moved by %.1f s", self._name, drift_s)
            self.anchor = now
