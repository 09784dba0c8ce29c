"""A microphone as a source of sound."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from asd_agent.capture.chunk import Chunk, Samples
from asd_agent.capture.stream import Stream

SETTLE_S = 5.0
"""Not measured: a sound server hands out what it has buffered in bursts"""
MEASURE_S = 60.0
"""How long the true rate is measured, each time anew"""
RATE_TOLERANCE = 0.01
"""Crystals are good to 0.0001; more than this is another rate than promised"""

log = logging.getLogger(__name__)


class InputStream(Protocol):
    """An open device that gives the one chosen channel."""

    rate_hz: int

    def read(self, count: int) -> tuple[Samples, bool]:
        """Wait for `count` samples; also whether some were lost before them."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class Microphone:
    """One channel of a capture device at the rate that the device prefers.

    Parameters
    ----------
    wanted : str
        As `asd-agent devices` prints it, see `device.choose`.
    channel : int
        The one channel that is listened to, from 0; channels are never mixed.
    block_s : float
        Seconds in one chunk.
    open_stream : callable
        Opens the device `wanted` for one channel.
    clock : callable
        Monotonic seconds.
    """

    live = True

    def __init__(
        self,
        wanted: str,
        channel: int = 0,
        block_s: float = 0.1,
        *,
        open_stream: Callable[[str, int], InputStream] = Stream,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = wanted
        self._channel = channel
        self._block_s = block_s
        self._open_stream = open_stream
        self._clock = clock
        self._closed = False

    def chunks(self) -> Iterator[Chunk]:
        """Open the device and listen until `close`.

        Raises
        ------
        SoundError
            The device is missing, busy, unplugged or has no such channel.
        RuntimeMissing
            PortAudio is not installed.
        """
        stream = self._open_stream(self.name, self._channel)
        rate = RateCheck(self.name, stream.rate_hz)
        count = max(1, round(self._block_s * stream.rate_hz))
        try:
            while not self._closed:
                samples, lost = stream.read(count)
                rate.push(count, self._clock(), lost)
                yield Chunk(samples, stream.rate_hz, _mended(samples) or lost)
        finally:
            stream.close()

    def close(self) -> None:
        """Let go of the device after the chunk that is being read."""
        self._closed = True


def _mended(samples: Samples) -> bool:
    """Put zeros in place of what is not a number; say whether there was any."""
    bad = ~np.isfinite(samples)
    if not bad.any():
        return False
    samples[bad] = 0.0
    return True


class RateCheck:
    """Compares the rate that a device promises with a clock, and warns once.

    A device that runs at another rate shifts every frequency, without an error.
    """

    def __init__(self, name: str, rate_hz: int) -> None:
        self.measured_hz: float | None = None
        self._name = name
        self._rate_hz = rate_hz
        self._start_s: float | None = None
        self._count = 0
        self._settled = False
        self._warned = False

    def push(self, count: int, now_s: float, lost: bool) -> None:
        """Count samples that were there at `now_s`; begin anew if some were lost."""
        if self._start_s is None or lost:
            self._start_s, self._count = now_s, 0
            return
        self._count += count
        passed_s = now_s - self._start_s
        if passed_s < (MEASURE_S if self._settled else SETTLE_S):
            return
        if self._settled:
            self.measured_hz = self._count / passed_s
            self._warn()
        self._settled, self._start_s, self._count = True, now_s, 0

    def _warn(self) -> None:
        measured_hz = self.measured_hz or 0.0
        if self._warned or abs(measured_hz / self._rate_hz - 1) <= RATE_TOLERANCE:
            return
        self._warned = True
        log.warning(
            "%s: promises %d samples a second and gives %.0f: every frequency is "
            "shifted; choose another device or rate in the sound server",
            self._name,
            self._rate_hz,
            measured_hz,
        )
