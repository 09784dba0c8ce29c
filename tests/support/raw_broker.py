"""A broker that answers CONNECT and then does whatever a test wants, byte by byte."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

Script = Callable[["Peer"], None]
CONNACK = {5: b"\x20\x03\x00\x00\x00", 4: b"\x20\x02\x00\x00"}


class Peer:
    """One client, as the broker sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.connect = b""
        self.protocol = 0

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(raw)

    def packet(self) -> tuple[int, bytes]:
        """Read a packet: its first byte and its body."""
        kind, length, shift = self._read(1)[0], 0, 0
        while True:
            byte = self._read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return kind, self._read(length)

    def expect(self, kind: int) -> bytes:
        """Read packets until one begins with this byte; its body."""
        while True:
            found, body = self.packet()
            if found == kind:
                return body

    def wait_end(self) -> None:
        """Wait until the client hangs up."""
        with contextlib.suppress(OSError):
            while self.connection.recv(4096):
                pass

    def _read(self, count: int) -> bytes:
        raw = b""
        while len(raw) < count:
            piece = self.connection.recv(count - len(raw))
            if not piece:
                raise ConnectionError("the client hung up")
            raw += piece
        return raw


def header(length: int, kind: int = 0x32) -> bytes:
    """The fixed header of a packet that claims so many bytes; PUBLISH of QoS 1."""
    raw = bytearray([kind])
    while True:
        length, byte = length >> 7, length & 127
        raw.append(byte | (128 if length else 0))
        if not length:
            return bytes(raw)


def publish(topic: str, body: bytes, protocol: int, number: int = 1) -> bytes:
    """A whole PUBLISH of QoS 1."""
    name = topic.encode()
    rest = len(name).to_bytes(2, "big") + name + number.to_bytes(2, "big")
    rest += (b"\x00" if protocol == 5 else b"") + body
    return header(len(rest)) + rest


class RawBroker:
    """Takes clients one after the other and plays the script to each."""

    def __init__(self, script: Script) -> None:
        self.peers: list[Peer] = []
        self._script = script
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "RawBroker":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                self._serve(Peer(connection))

    def _serve(self, peer: Peer) -> None:
        _, peer.connect = peer.packet()
        peer.protocol = peer.connect[6]
        peer.send(CONNACK[peer.protocol])
        self.peers.append(peer)
        self._script(peer)
