"""A TCP proxy that resets connections, refuses them, or keeps everything back."""

import contextlib
import selectors
import socket
import struct
import threading
from types import TracebackType

AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset"""


class Proxy:
    """Passes on what it gets, between its own port and another of this machine."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._dark = False
        self._refused = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def reset(self) -> None:
        """Reset every connection."""
        with self._lock:
            for one in list(self._peers):
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                self._part(one)

    def darken(self, dark: bool = True) -> None:
        """Let nothing through, as a network that is down without a word."""
        self._dark = dark

    def refuse(self, refused: bool = True) -> None:
        """Take no one, as if nobody listened; who is there is thrown out."""
        self._refused = refused
        if refused:
            self.reset()

    def __enter__(self) -> "Proxy":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        self._thread.join(10)
        self.reset()
        self._server.close()

    def _run(self) -> None:
        while not self._closing:
            with selectors.DefaultSelector() as ready:
                with self._lock:
                    for end in (self._server, *self._peers):
                        ready.register(end, selectors.EVENT_READ)
                found = [key.fileobj for key, _ in ready.select(0.02)]
            with self._lock:
                for one in found if not self._dark else ():
                    if isinstance(one, socket.socket):
                        self._serve(one)

    def _serve(self, one: socket.socket) -> None:
        if one is self._server:
            self._join(self._server.accept()[0])
            return
        if one not in self._peers:
            return
        try:
            raw = one.recv(65_536)
            if raw:
                self._peers[one].sendall(raw)
                return
        except OSError:
            pass
        self._part(one)

    def _join(self, client: socket.socket) -> None:
        try:
            if self._refused:
                raise ConnectionRefusedError
            broker = socket.create_connection(("127.0.0.1", self._upstream), 1)
        except OSError:
            client.close()
            return
        for one in (client, broker):
            one.settimeout(5)
        self._peers[client], self._peers[broker] = broker, client

    def _part(self, one: socket.socket) -> None:
        other = self._peers.pop(one, None)
        if other is not None:
            self._peers.pop(other, None)
            other.close()
        one.close()
