"""Downloads that go on where they stopped, and are whole or not at all."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import requests

from asd_agent.errors import SoundError
from asd_train.data.zenodo import TIMEOUT_S, RemoteFile, check_address

TRIES = 5
_CHUNK = 1 << 18
_WAIT_S = 60.0
"""Longest wait before the next try"""

Progress = Callable[[int], None]
"""Is told how many bytes are there"""


def fetch(
    session: requests.Session,
    file: RemoteFile,
    target: Path,
    progress: Progress = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Load a file to `target`, which is there only when its checksum is right.

    Until then it is ``<target>.part``. That is kept when something fails, and the
    next call goes on from its end, if the server knows ranges (RFC 9110, section 14).

    Raises
    ------
    SoundError
        The server does not give the file, or it is not what the record says.
    """
    check_address(file.links.self)
    part = target.with_name(target.name + ".part")
    try:
        _load(session, file, part, progress, pause)
        part.replace(target)
    except OSError as error:
        raise SoundError(f"{target}: cannot be written: {error.strerror}") from error


def _load(
    session: requests.Session,
    file: RemoteFile,
    part: Path,
    progress: Progress,
    pause: Callable[[float], None],
) -> None:
    """Make `part` whole."""
    part.parent.mkdir(parents=True, exist_ok=True)
    part.touch()
    if part.stat().st_size >= file.size and not is_whole(part, file):
        part.write_bytes(b"")
    for number in range(TRIES):
        if part.stat().st_size == file.size:
            break
        try:
            _append(session, file, part, progress)
        except requests.RequestException as error:
            if number == TRIES - 1 or not _may_pass(error):
                raise SoundError(
                    f"{file.key}: {part.stat().st_size} of {file.size} bytes, then "
                    f"{error}. The same command goes on from there"
                ) from error
            pause(_wait_s(error, number))
    if not is_whole(part, file):
        raise SoundError(
            f"{file.key}: its bytes are not those of the record ({file.checksum}). "
            "The same command loads it anew"
        )


def _append(
    session: requests.Session, file: RemoteFile, part: Path, progress: Progress
) -> None:
    have = part.stat().st_size
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    with session.get(
        file.links.self, headers=headers, stream=True, timeout=TIMEOUT_S
    ) as reply:
        check_address(reply.url)
        reply.raise_for_status()
        goes_on = reply.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not (reply.status_code == 206 and goes_on):
            have = 0
        if reply.status_code == 206 and not goes_on:
            raise SoundError(f"{file.key}: the server sent a range not asked for")
        with part.open("ab" if have else "wb") as out:
            progress(have)
            for chunk in reply.iter_content(_CHUNK):
                have += len(chunk)
                if have > file.size:
                    raise SoundError(
                        f"{file.key}: more than the {file.size} bytes of the record"
                    )
                out.write(chunk)
                progress(have)
    if have < file.size:
        raise requests.ConnectionError("the connection ended early")


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether a file is there and has the size and the checksum of the record."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    name, _, digits = file.checksum.partition(":")
    digest = hashlib.new(name, usedforsecurity=False)
    with path.open("rb") as data:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == digits


def _may_pass(error: requests.RequestException) -> bool:
    """Whether a later try may succeed."""
    status = error.response.status_code if error.response is not None else 0
    return status in (0, 408, 429) or status >= 500


def _wait_s(error: requests.RequestException, number: int) -> float:
    """Seconds before the next try: what the server asks for, or 1, 2, 4, ..."""
    reply = error.response
    asked = reply.headers.get("Retry-After", "") if reply is not None else ""
    wait_s = float(asked) if asked.isascii() and asked.isdigit() else 2.0**number
    return min(wait_s, _WAIT_S)
