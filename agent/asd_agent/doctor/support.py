"""The file for support: written whole, bounded, for its owner alone."""

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from asd_agent.errors import ConfigError

MAX_BYTES = 5_000_000
"""Of the whole file"""
SPARE_BYTES = 100_000
"""Of it, for the names of its members"""
MAX_MEMBER_BYTES = 1_000_000
"""Of one text in it, before it is compressed"""
CUT = "[the beginning was cut off]\n"


def check(path: Path, *, force: bool) -> None:
    """See that the file can be written, before it is needed.

    Raises
    ------
    ConfigError
        It is there already, or its folder cannot be written.
    """
    if os.path.lexists(path) and not force:
        raise ConfigError(
            f"--bundle {path}: is there already; name another file, or say --force"
        )
    if not path.parent.is_dir():
        raise _unwritable(path, "there is no such folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _unwritable(path, "this user may not write there")


def write(path: Path, texts: Mapping[str, str], *, force: bool) -> None:
    """Write texts by name; readable by this user alone from the first moment.

    Raises
    ------
    ConfigError
        It cannot be written.
    """
    raw = packed(texts)
    try:
        if force:
            _replace(path, raw)
        else:
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            _fill(os.open(path, flags, 0o600), path, raw)
    except FileExistsError as error:
        raise _unwritable(path, "is there already") from error
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error


def packed(texts: Mapping[str, str]) -> bytes:
    """A ZIP file of texts; of what is too long the end is kept."""
    memory, left = io.BytesIO(), MAX_BYTES - SPARE_BYTES
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            content = _end_of(text.encode("utf-8", "replace"), left)
            left -= len(content)
            archive.writestr(name, content)
    return memory.getvalue()


def _end_of(content: bytes, left: int) -> bytes:
    most = min(left, MAX_MEMBER_BYTES)
    if len(content) <= most:
        return content
    mark = CUT.encode()
    return mark + content[len(content) - most + len(mark) :] if most > 1000 else b""


def _replace(path: Path, raw: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".support-", dir=path.parent)
    _fill(descriptor, Path(name), raw)
    try:
        Path(name).replace(path)
    except OSError:
        Path(name).unlink()
        raise


def _fill(descriptor: int, path: Path, raw: bytes) -> None:
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink()  # half a file is of no use
        raise


def _unwritable(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"--bundle {path}: {why}; name a file in a folder that this user may write, "
        "such as the state folder"
    )
