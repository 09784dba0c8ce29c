"""A capture device that another process has open, see `capture.process`."""

import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from asd_agent import child
from asd_agent.capture.chunk import Samples
from asd_agent.capture.wire import FAILED, OPENED, Packet, unpack
from asd_agent.errors import RuntimeMissing, SoundError

OPEN_S = 10.0
"""Seconds that a device may take to open"""
FIRST_S = 7.0
"""Seconds from then to the first sound; a little more than the process waits"""
STALL_S = 3.0
"""Seconds without sound after which the process is ended"""
END_S = 1.0
"""Seconds that a killed process may take to go; a driver can hold it for ever"""
PIPE_BYTES = 1_048_576
"""Room for sound while the agent is busy: five seconds of 48 kHz"""
_F_SETPIPE_SZ = 1031
"""``fcntl.F_SETPIPE_SZ``, which Python has from 3.10 on Linux only"""


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples as they come from a device."""

    samples: Samples
    """Shape ``(n,)``, n >= 1"""
    at_s: float
    """Monotonic seconds when they were read"""
    gap: bool = False
    """Whether they do not follow the ones before"""
    lost: int = 0
    """Samples that are missing before them, as far as the clock shows"""


def command(wanted: str, channel: int) -> list[str]:
    """Command line of the process that captures."""
    module = "asd_agent.capture.process"
    return [sys.executable, "-m", module, wanted, str(channel), str(os.getpid())]


class Captured:
    """A device, opened by a process of its own. One thread uses it, from its start.

    Parameters
    ----------
    wanted : str
        See `device.choose`.
    channel : int
        The one channel that is wanted, from 0.
    start : callable
        Makes the command line of the process.
    clock : callable
        Monotonic seconds.

    Raises
    ------
    SoundError
        The device is missing, busy or has no such channel, or it does not open.
    RuntimeMissing
        PortAudio is not installed.
    """

    def __init__(
        self,
        wanted: str,
        channel: int,
        *,
        start: Callable[[str, int], Sequence[str]] = command,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate_hz = 0
        self._wanted = wanted
        self._clock = clock
        self._held = bytearray()
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            start(wanted, channel),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # ALSA writes lines for every attempt
            env=child.environment(),
        )
        self._pipe = self._process.stdout.fileno() if self._process.stdout else -1
        with suppress(OSError):  # more than this user may have
            fcntl.fcntl(self._pipe, _F_SETPIPE_SZ, PIPE_BYTES)
        self._limit_s = OPEN_S
        self._since_s = clock()
        try:
            while not self.rate_hz:
                self._take(self._next())
        except BaseException:
            self.close()
            raise

    def read(self) -> Piece:
        """Wait for samples.

        Raises
        ------
        SoundError
            The device gives no more, most often because it was unplugged.
        """
        while True:
            piece = self._take(self._next())
            if piece is not None:
                return piece

    def close(self) -> None:
        """End the process; may be called more than once."""
        self._process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        # Held by a driver it stays until that lets go: nothing waits for it.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)

    def _take(self, packet: Packet) -> Piece | None:
        """Samples of a packet; None: it has none."""
        if packet.kind == FAILED:
            said = packet.json()
            kind = RuntimeMissing if said["missing"] else SoundError
            raise kind(str(said["error"]))
        if packet.kind == OPENED:
            self.rate_hz = int(packet.json()["rate_hz"])
            if self._limit_s == OPEN_S:
                self._limit_s, self._since_s = FIRST_S, self._clock()
            return None
        self._limit_s, self._since_s = STALL_S, self._clock()
        samples = np.frombuffer(packet.body, np.float32).copy()
        return Piece(samples, packet.at_s, packet.gap, packet.lost)

    def _next(self) -> Packet:
        """Wait for a packet."""
        while True:
            packet = self._unpacked()
            if packet is not None:
                return packet
            left_s = self._since_s + self._limit_s - self._clock()
            if left_s <= 0 or not select.select([self._pipe], [], [], left_s)[0]:
                raise SoundError(
                    f"{self._wanted}: no sound for {self._limit_s:g} s; the device may "
                    "be unplugged: check its cable"
                )
            part = os.read(self._pipe, PIPE_BYTES)
            if not part:
                raise SoundError(self._why_ended())
            self._held += part

    def _unpacked(self) -> Packet | None:
        try:
            return unpack(self._held)
        except ValueError as error:
            raise SoundError(
                f"{self._wanted}: the process that captures writes nonsense: {error}"
            ) from error

    def _why_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_S)
        code = self._process.returncode
        return (
            f"{self._wanted}: the process that captures has ended "
            f"({'by signal' if code and code < 0 else 'code'} {abs(code or 0)})"
        )
