"""The answer of a web server: checked before it is read, cut where it is too long."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from urllib3.response import BaseHTTPResponse

from asd_agent.errors import BundleError
from asd_agent.update.patience import Watch

PIECE_BYTES = 65_536
"""Read so much at a time"""
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a server that may answer otherwise in a while"""
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class Interrupted(Exception):
    """An attempt failed; another may not."""


class NoRange(Interrupted):
    """The server cannot give a part of the file, but perhaps the whole."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A file, or what is left of it."""

    name: str
    size: int
    """Bytes of the whole file, as the manifest says"""
    at: int
    """Bytes that are here"""

    def begin(self, response: BaseHTTPResponse) -> int:
        """Byte of the file with which the content begins.

        Raises
        ------
        BundleError
            `unavailable`, `too_large` or `changed`: asking again does not help.
        Interrupted
            It may.
        """
        status = response.status
        if status in AGAIN:
            raise Interrupted(f"the server answers {status}")
        if status == 416 and self.at:
            raise NoRange("the server gives no part of it")
        if status == 206:
            start = self._start(response.headers.get("Content-Range", ""))
        elif status == 200:
            start = 0
        else:
            raise self._refusal(status)
        self._check_length(response, start)
        return start

    def pieces(
        self, response: BaseHTTPResponse, start: int, watch: Watch
    ) -> Iterator[bytes]:
        """What is not here yet of the content, as it comes.

        Raises
        ------
        BundleError
            `too_large`: there is at least one byte too many.
        Interrupted
            The connection was cut.
        """
        skip, room = self.at - start, self.size - start
        # One byte more than the file has tells that there is more.
        while piece := response.read1(min(PIECE_BYTES, room + 1), decode_content=False):
            if watch.cut:
                return
            watch.received_bytes += len(piece)
            room -= len(piece)
            if room < 0:
                raise self._too_large("more")
            skipped = min(skip, len(piece))
            skip -= skipped
            if skipped < len(piece):
                yield piece[skipped:]

    def _start(self, text: str) -> int:
        found = _RANGE.fullmatch(text.strip())
        if found is None or int(found[1]) != self.at:
            raise BundleError(
                f"{self.name}: the server sends another part than it was asked for. "
                "Put the files on another server",
                "unavailable",
            )
        if found[3] != "*" and int(found[3]) != self.size:
            raise self._of_another_size(int(found[3]))
        return self.at

    def _check_length(self, response: BaseHTTPResponse, start: int) -> None:
        headers = response.headers
        if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise BundleError(
                f"{self.name}: the server sends it compressed, which is not read. Make "
                "it send the file as it is",
                "unavailable",
            )
        length = headers.get("Content-Length")
        if length is None:
            return
        if not re.fullmatch(r"[0-9]{1,18}", length):
            raise Interrupted("the server does not tell how much it sends")
        size = start + int(length)
        # Of a range a server may send less than all that is left.
        if size > self.size or (size < self.size and response.status == 200):
            raise self._of_another_size(size)

    def _of_another_size(self, size: int) -> BundleError:
        if size > self.size:
            return self._too_large(str(size))
        return BundleError(
            f"{self.name}: has {size} bytes on the server, the manifest says "
            f"{self.size}. Copy the whole bundle to the server again",
            "changed",
        )

    def _too_large(self, bytes_: str) -> BundleError:
        return BundleError(
            f"{self.name}: has {bytes_} bytes on the server, the manifest says "
            f"{self.size}. Copy the whole bundle to the server again",
            "too_large",
        )

    def _refusal(self, status: int) -> BundleError:
        if 300 <= status < 400:
            why = "sends us elsewhere, where we do not go: push with the final base_url"
        elif status in {401, 403}:
            why = "does not let us read it: open the folder to the devices"
        else:
            why = "has no such file: copy the whole bundle there"
        return BundleError(
            f"{self.name}: the server answers {status}: it {why}", "unavailable"
        )
