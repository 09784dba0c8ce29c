"""Cuts a connection that is too slow or no longer wanted."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType

POLL_S = 0.1
"""Seconds between two looks at a connection"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    connect_s: float = 10.0
    """Seconds for TCP, and again for TLS"""
    silence_s: float = 20.0
    """Seconds without a byte"""
    least_bytes_s: int = 1024
    """Bytes of content a second, on average over `slow_s`"""
    slow_s: float = 60.0
    """Seconds after which a server that is slower is given up"""
    tries: int = 8
    """Attempts in a row that bring less than `least_bytes_s` times `slow_s`"""
    pause_s: float = 1.0
    """Seconds before the second attempt; doubled for each other one"""
    most_pause_s: float = 60.0
    """Longest pause"""

    @property
    def least_bytes(self) -> int:
        """Bytes that must come within `slow_s`."""
        return int(self.least_bytes_s * self.slow_s)


class Watch:
    """Looks after one connection from another thread, as a context manager.

    A server that sends a byte now and then keeps every read from timing out, in the
    header as well as in the content; and nobody who waits for a read can look at
    `stop`. So the socket is shut down under it.
    """

    def __init__(
        self, connection: socket.socket, stop: threading.Event, patience: Patience
    ) -> None:
        self.received_bytes = 0
        """Content so far; counted by the reader"""
        self.slow = False
        """Whether the connection was cut because it was slow"""
        self._connection = connection
        self._stop = stop
        self._patience = patience
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def cut(self) -> bool:
        """Whether what was read last may be anything."""
        return self.slow or self._stop.is_set()

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        began_s, before = time.monotonic(), 0
        while not self._done.wait(min(POLL_S, self._patience.slow_s / 4)):
            now_s = time.monotonic()
            if now_s - began_s >= self._patience.slow_s:
                came = self.received_bytes - before
                self.slow = came < self._patience.least_bytes
                began_s, before = now_s, self.received_bytes
            if self.cut:
                # Not TLS's own shutdown: it would make the next read one without TLS.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
                return
