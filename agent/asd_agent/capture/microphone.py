"""A microphone as a source of sound."""

import logging
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from asd_agent.capture.captured import Captured, Piece
from asd_agent.capture.chunk import Chunk, Samples

SETTLE_S = 5.0
"""Not measured: a sound server hands out what it has buffered in bursts"""
MEASURE_S = 60.0
"""How long the true rate is measured, each time anew"""
RATE_TOLERANCE = 0.01
"""Crystals are good to 0.0001; more than this is another rate than promised"""
UNREST_S = 0.2
"""By so much can the moment differ at which samples are handed out"""

log = logging.getLogger(__name__)


class InputStream(Protocol):
    """An open device that gives the one chosen channel."""

    rate_hz: int

    def read(self) -> Piece:
        """Wait for the next samples."""
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
    open_stream : callable
        Opens the device `wanted` for one channel.
    """

    live = True

    def __init__(
        self,
        wanted: str,
        channel: int = 0,
        *,
        open_stream: Callable[[str, int], InputStream] = Captured,
    ) -> None:
        self.name = wanted
        self._channel = channel
        self._open_stream = open_stream
        self._closed = False
        self._rate: RateCheck | None = None

    @property
    def flaw(self) -> str:
        """``rate`` while the device does not run at the rate that it promises."""
        return "rate" if self._rate is not None and self._rate.off else ""

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
        rate = self._rate = RateCheck(self.name, stream.rate_hz)
        try:
            while not self._closed:
                piece = stream.read()
                if stream.rate_hz != rate.rate_hz:  # it was opened anew
                    rate = self._rate = RateCheck(self.name, stream.rate_hz)
                samples, lost = piece.samples, piece.gap or piece.lost > 0
                rate.push(len(samples), piece.at_s, lost)
                gap = _mended(samples) or lost
                yield Chunk(samples, stream.rate_hz, gap, piece.lost)
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
        self.rate_hz = rate_hz
        """Hertz that it promises"""
        self.measured_hz: float | None = None
        """Hertz that it gives; None: not known yet"""
        self.off = False
        """Whether these differ too much"""
        self._name = name
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
        if not self._settled:
            if passed_s >= SETTLE_S:
                self._settled, self._start_s, self._count = True, now_s, 0
            return
        self._judge(passed_s)
        if passed_s >= MEASURE_S:
            self._start_s, self._count = now_s, 0

    def _judge(self, passed_s: float) -> None:
        """Say that the rate is off as soon as that is sure, or that it is not."""
        part = abs(self._count / (passed_s * self.rate_hz) - 1) if passed_s else 0.0
        whole = passed_s >= MEASURE_S
        if whole or (passed_s > 1 and part > RATE_TOLERANCE + UNREST_S / passed_s):
            self.measured_hz = self._count / passed_s
            self.off = part > RATE_TOLERANCE
            self._warn(self.measured_hz)

    def _warn(self, measured_hz: float) -> None:
        if self._warned or not self.off:
            return
        self._warned = True
        log.warning(
            "%s: promises %d samples a second and gives %.0f: every frequency is "
            "shifted; choose another device or rate in the sound server",
            self._name,
            self.rate_hz,
            measured_hz,
        )
