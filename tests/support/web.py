"""A real web server for tests, which may also be a bad one."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from support.broker import Certificates

HOST = "localhost"


class Request(BaseHTTPRequestHandler):
    """One request, and what a bad server needs to answer it."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        """Answer as the test wants it."""
        self.close_connection = True
        self.server.asked.append((self.path, self.headers.get("Range")))
        # A client that hangs up is what most tests are about.
        with contextlib.suppress(OSError):
            self.server.answer(self)

    @property
    def content(self) -> bytes:
        """The file that was asked for."""
        return self.server.files[self.path.rsplit("/", 1)[1]]

    @property
    def start(self) -> int:
        """First byte that was asked for."""
        range_ = self.headers.get("Range")
        return int(range_[6:-1]) if range_ else 0

    def head(self, status: int, **headers: object) -> None:
        """Send the answer's header; `_` stands for `-`."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


Answer = Callable[[Request], None]


def serve(request: Request) -> None:
    """Answer as a good server does, parts of files included."""
    if request.path.rsplit("/", 1)[1] not in request.server.files:
        request.head(404, Content_Length=0)
        return
    content, start = request.content, request.start
    if start == 0:
        request.head(200, Content_Length=len(content))
    elif start >= len(content):
        request.head(416, Content_Length=0, Content_Range=f"bytes */{len(content)}")
        return
    else:
        part = f"bytes {start}-{len(content) - 1}/{len(content)}"
        request.head(206, Content_Length=len(content) - start, Content_Range=part)
    request.wfile.write(content[start:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    files: Mapping[str, bytes]
    answer: Answer
    asked: list[tuple[str, str | None]]

    def handle_error(self, *_: Any) -> None:
        """Say nothing: clients that refuse our certificate are expected."""


class WebServer:
    """Serves files on the loopback interface, by TLS where it has a certificate."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        tls: Certificates | None = None,
        answer: Answer = serve,
    ) -> None:
        self._server = _Server(("127.0.0.1", 0), Request)
        self._server.files = files
        self._server.answer = answer
        self._server.asked = []
        scheme = "http"
        if tls:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.base_url = f"{scheme}://{HOST}:{self._server.server_port}/bundles/pump-3"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def asked(self) -> list[tuple[str, str | None]]:
        """Paths and ranges of the requests so far."""
        return self._server.asked

    def __enter__(self) -> "WebServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
