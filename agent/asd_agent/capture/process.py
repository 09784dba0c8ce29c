"""The process that captures: opens one device, writes what it hears to a pipe.

It is the agent's child and can be killed at any moment: PortAudio keeps a list of
devices that it made when it started, and a driver can hang for ever. A stream that
gives nothing is opened anew here, once; where that does not help the agent starts
another process.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from asd_agent import child
from asd_agent.capture.device import Device
from asd_agent.capture.loss import LossWatch
from asd_agent.capture.stream import Stream
from asd_agent.capture.wire import FAILED, OPENED, SOUND, Packet, pack, say
from asd_agent.errors import AsdError, RuntimeMissing, SoundError

BLOCK_S = 0.1
"""Sound in one packet"""
POLL_S = 0.02
"""Seconds between two looks at the device"""
STALL_S = 1.5
"""A stream without a sample for so long is opened anew"""
FIRST_S = 5.0
"""As `STALL_S`, before the first sample: sound servers take their time"""


class Readable(Protocol):
    """An open device."""

    device: Device
    rate_hz: int

    @property
    def available(self) -> int:
        """Samples that can be read at once."""
        ...

    def read(self, count: int) -> tuple[bytes, bool]:
        """Read samples; also whether some were lost before them."""
        ...

    def close(self) -> None:
        """Let go of the device."""
        ...


class Listener:
    """Reads one stream until it gives no more.

    Parameters
    ----------
    stream
        Just opened.
    clock
        Monotonic seconds.
    sleep
        Waits for so many seconds.
    since_s
        When sound came last, of a stream before this one; None: there was none.
    """

    def __init__(
        self,
        stream: Readable,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        since_s: float | None = None,
    ) -> None:
        self.last_s = clock() if since_s is None else since_s
        """When the newest samples came"""
        self._stream = stream
        self._clock = clock
        self._sleep = sleep
        self._block = max(1, round(BLOCK_S * stream.rate_hz))
        self._watch = LossWatch(stream.rate_hz)
        self._before = since_s is not None
        self._unread = 0

    def packets(self) -> Iterator[Packet]:
        """Packets of sound, until there is none for too long."""
        limit_s, begun_s = FIRST_S, self._clock()
        while True:
            available = self._stream.available
            now_s = self._clock()
            if available >= self._block:
                yield self._packet(available, now_s)
                limit_s = STALL_S
            elif now_s - max(self.last_s, begun_s) > limit_s:
                return
            else:
                self._sleep(POLL_S)

    def _packet(self, available: int, now_s: float) -> Packet:
        body, flagged = self._stream.read(self._block)
        came = available - self._unread
        self._unread = available - self._block
        loss = self._watch.push(came, now_s, flagged)
        lost, gap = loss.samples, loss.gap
        if self._before:  # what passed between two streams is lost
            self._before, gap = False, True
            lost = max(1, round((now_s - self.last_s) * self._stream.rate_hz) - came)
        self.last_s = now_s
        return Packet(SOUND, body, lost, now_s, gap)


def opened(device: Device) -> bytes:
    """Tell what was opened."""
    values = {"name": device.name, "id": device.id, "rate_hz": device.rate_hz}
    return say(OPENED, values)


def listen(
    wanted: str, channel: int, write: Callable[[bytes], object], parent: int
) -> None:
    """Open the device, listen, and open it anew where it falls silent.

    Raises
    ------
    AsdError
        It cannot be opened, or gives nothing.
    """
    since_s: float | None = None
    while True:
        stream = Stream(wanted, channel)
        try:
            write(opened(stream.device))
            listener = Listener(stream, since_s=since_s)
            heard = False
            for packet in listener.packets():
                heard = True
                write(pack(packet))
                if os.getppid() != parent:
                    return
        finally:
            stream.close()
        if not heard:
            raise SoundError(
                f"{stream.device.name}: is open and gives no sound; the device or the "
                "sound server hangs: plug it in anew"
            )
        since_s = listener.last_s


def main(arguments: Sequence[str]) -> int:
    """Listen to a device: its name, the channel and the process of the agent."""
    wanted, channel, parent = arguments[0], int(arguments[1]), int(arguments[2])
    child.end_with(parent)
    try:
        listen(wanted, channel, _write, parent)
    except BrokenPipeError:  # the agent has closed its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AsdError as error:
        missing = isinstance(error, RuntimeMissing)
        _write(say(FAILED, {"error": str(error), "missing": missing}))
        return error.exit_code
    return 0


def _write(packet: bytes) -> None:
    # Waits where the agent is slow: the device's buffer overflows, and says so.
    sys.stdout.buffer.write(packet)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
