"""A server that answers as Zenodo does, or fails as servers do."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests
import soundfile


class Zenodo:
    """What the server has, how it behaves, and what it was asked."""

    def __init__(self) -> None:
        self.records: dict[int, dict[str, bytes]] = {}
        self.licence: str | None = None
        self.ranges = True
        self.cut_after: list[int] = []
        """Bytes after which each of the next replies breaks off"""
        self.fail: list[int] = []
        """Status codes of the next replies"""
        self.checksum = ""
        """Told instead of the right one"""
        self.asked: list[tuple[str, str]] = []
        """Path and Range header of each request for a file"""
        self.url = ""

    def record(self, number: int) -> bytes:
        """Reply to the question what a record holds."""
        files = [
            {
                "key": key,
                "size": len(data),
                "checksum": self.checksum
                or "md5:" + hashlib.md5(data, usedforsecurity=False).hexdigest(),
                "links": {"self": f"{self.url}/api/records/{number}/files/{key}"},
                "later": "unknown fields are passed over",
            }
            for key, data in self.records[number].items()
        ]
        licence = {"license": {"id": self.licence}} if self.licence else {}
        return json.dumps({"files": files, "metadata": licence}).encode()


def _handler(state: Zenodo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:  # the name is http.server's
            found = re.fullmatch(r"/api/records/(\d+)(?:/files/(.+))?", self.path)
            if not found or int(found[1]) not in state.records:
                self._send(404, b"", {})
            elif found[2] is None:
                self._send(200, state.record(int(found[1])), {})
            else:
                self._file(state.records[int(found[1])][found[2]])

        def _file(self, data: bytes) -> None:
            wanted = self.headers.get("Range", "")
            state.asked.append((self.path, wanted))
            if state.fail:
                self._send(state.fail.pop(0), b"", {"Retry-After": "7"})
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
            if state.ranges and start < len(data):
                place = f"bytes {start}-{len(data) - 1}/{len(data)}"
                self._send(206, data[start:], {"Content-Range": place})
            else:
                self._send(200, data, {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            cut = state.cut_after and "/files/" in self.path
            self.wfile.write(body[: state.cut_after.pop(0)] if cut else body)

    return Handler


@pytest.fixture
def zenodo() -> Iterator[Zenodo]:
    """A server on this machine."""
    state = Zenodo()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as server:
        state.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield state
        server.shutdown()
        thread.join()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False  # no proxy between a test and its own machine
        yield session


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes short recordings, all of one tone, below the test's folder."""

    def _write(
        name: str, *, samples: int = 1600, rate_hz: int = 16_000, channels: int = 1
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = np.sin(np.arange(samples) / 5)[:, None].repeat(channels, 1)
        soundfile.write(path, 0.1 * tone, rate_hz, subtype="PCM_16")
        return path

    return _write
