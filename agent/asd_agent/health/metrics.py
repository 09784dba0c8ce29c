"""Shows figures to Prometheus.

Rules: one thread serves one client at a time and gives each a few seconds, so nobody
who reaches the port can take the agent's threads or memory. What goes wrong here is
told and never ends the agent.
"""

import io
import logging
import socket
import socketserver
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from threading import Event, Thread
from typing import Any, Protocol

from asd_agent.health.snapshot import Snapshot

PATH = "/metrics"
RETRY_S = 60.0
"""Seconds between two attempts to listen"""
CLIENT_S = 2.0
"""Seconds that a client may take to ask, and again to read the answer"""
MAX_HEAD_BYTES = 8_192
"""A longer question is not read"""
CLOSE_S = 1.0
"""Seconds that `close` takes at most"""
_LOOK_S = 0.5
"""Seconds between two looks whether it is time to end"""

log = logging.getLogger(__name__)


class Address(Protocol):
    """Where to listen: the section `metrics` of the configuration."""

    @property
    def host(self) -> str:
        """Name or address of an interface."""
        ...

    @property
    def port(self) -> int:
        """TCP port."""
        ...


class Metrics:
    """A page of figures, made anew each time that it is asked for.

    Parameters
    ----------
    config
        Where to listen.
    read
        Gives the figures; called by a thread of its own.
    retry_s
        Seconds between two attempts to listen.
    """

    def __init__(
        self,
        config: Address,
        read: Callable[[], Snapshot],
        *,
        retry_s: float = RETRY_S,
    ) -> None:
        self._config = config
        self._read = read
        self._retry_s = retry_s
        self._failing = False
        self._closing = Event()
        self.listening = False
        """Whether the port is ours"""
        self._thread = Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to listen, in the background."""
        self._thread.start()

    def close(self) -> None:
        """Listen no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            # Costs memory, which only those shall pay who want figures.
            from asd_agent.health import exposition  # noqa: PLC0415
        except ImportError as error:
            log.error("metrics: %s; pip install prometheus-client", error)
            return

        def page() -> tuple[str, bytes]:
            return exposition.CONTENT_TYPE_LATEST, exposition.page(self._read())

        while not self._closing.is_set():
            try:
                self._serve(page)
            except OSError as error:
                log.warning(
                    "metrics: %s:%d cannot be listened on: %s; trying again every "
                    "%.0f s. Set metrics.host and metrics.port to what is free",
                    self._config.host,
                    self._config.port,
                    error.strerror or error,
                    self._retry_s,
                )
                self._closing.wait(self._retry_s)

    def _serve(self, page: Callable[[], tuple[str, bytes]]) -> None:
        with _Server(self._config, lambda: self._try(page)) as server:
            self.listening = True
            log.info("metrics: http://%s:%d%s", *server.server_address[:2], PATH)
            try:
                while not self._closing.is_set():
                    server.handle_request()
            finally:
                self.listening = False

    def _try(self, page: Callable[[], tuple[str, bytes]]) -> tuple[str, bytes] | None:
        """Make the page; None: it cannot be made, which is told once."""
        try:
            made = page()
        except Exception:
            # A bug in one figure must not end the others for good.
            if not self._failing:
                log.exception("metrics: the figures cannot be read")
            self._failing = True
            return None
        self._failing = False
        return made


class _Server(socketserver.TCPServer):
    """Listens. Not `HTTPServer`, which asks name servers for its own name."""

    allow_reuse_address = True
    timeout = _LOOK_S

    def __init__(
        self, config: Address, page: Callable[[], tuple[str, bytes] | None]
    ) -> None:
        self.page = page
        family, _, _, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM
        )[0]
        self.address_family = family
        super().__init__(address, _Handler)  # type: ignore[arg-type]  # of any family

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            time.sleep(_LOOK_S)  # such as too many open files: do not spin
            raise

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("metrics: a client is gone", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One question and its answer."""

    server: _Server

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BytesIO(_head(self.connection))
        self.connection.settimeout(CLIENT_S)  # for all of the answer

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != PATH:
            self.send_error(404, explain=f"The figures are at {PATH}")
            return
        made = self.server.page()
        if made is None:
            self.send_error(500, explain="The log of the agent says why")
            return
        kind, body = made
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "asd-agent"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: figures are asked for all day."""


def _head(connection: socket.socket) -> bytes:
    """Read a question up to its empty line, within its time and size."""
    deadline_s = time.monotonic() + CLIENT_S
    raw = b""
    while b"\r\n\r\n" not in raw and len(raw) < MAX_HEAD_BYTES:
        connection.settimeout(max(0.001, deadline_s - time.monotonic()))
        part = connection.recv(4096)
        if not part:
            break
        raw += part
    return raw
