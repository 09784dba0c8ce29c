"""What a record of Zenodo holds."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_agent.errors import SoundError

BASE_URL = "https://zenodo.org"
TIMEOUT_S = (10.0, 60.0)
"""Seconds to connect, and without a byte"""
_ARCHIVE = re.compile(
    r"(?:dev|eval)(?:_data)?(?:_(?:train|test))?"
    r"_(?!(?:data|train|test)\b)(?P<machine>[A-Za-z0-9-]+)"
    r"(?:_(?:train|test))?(?:_r\d+)?\.zip"
)


class _Reply(BaseModel):
    """Part of a reply; a server may add to its replies at any time."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Links(_Reply):
    """Addresses of a file."""

    self: str = Field(pattern=r"^https?://")


class RemoteFile(_Reply):
    """One file of a record."""

    key: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_ .()+-]{0,200}$")
    """Name, without a folder"""
    size: int = Field(ge=0)
    """Bytes"""
    checksum: str = Field(pattern=r"^(md5|sha256):[0-9a-f]{32,64}$")
    """Algorithm and hexadecimal digits"""
    links: Links

    @property
    def machine(self) -> str:
        """Machine type that the name of an archive tells; empty: none."""
        found = _ARCHIVE.fullmatch(self.key)
        return found["machine"] if found else ""


class Licence(_Reply):
    """Licence of a record."""

    id: str


class Metadata(_Reply):
    """What a record says of itself."""

    title: str = ""
    license: Licence | None = None


class Record(_Reply):
    """A record."""

    metadata: Metadata = Metadata()
    files: tuple[RemoteFile, ...]


def check_address(url: str) -> None:
    """See that an address is encrypted, or that of this machine.

    Raises
    ------
    SoundError
        It is neither.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
        raise SoundError(f"{url}: not an https address, so nothing is loaded from it")


def read_record(
    session: requests.Session, number: int, base_url: str = BASE_URL
) -> Record:
    """Ask for the files of a record.

    Raises
    ------
    SoundError
        There is no answer, or not one that is understood.
    """
    url = f"{base_url.rstrip('/')}/api/records/{number}"
    check_address(url)
    try:
        reply = session.get(url, timeout=TIMEOUT_S)
        reply.raise_for_status()
        check_address(reply.url)
        return Record.model_validate_json(reply.content)
    except requests.RequestException as error:
        raise SoundError(
            f"{url}: no list of files ({error}). See whether the network is there, "
            "and try again later"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "reply"
        raise SoundError(
            f"{url}: the answer is not understood, {place}: {first['msg']}"
        ) from error


def select(files: Iterable[RemoteFile], machines: Iterable[str]) -> list[RemoteFile]:
    """Files of the machine types that any pattern (``fan``, ``Toy*``) fits.

    Without a pattern, all files. With one, a file that is of no machine is left out.
    """
    patterns = tuple(machines)
    return sorted(
        (
            file
            for file in files
            if not patterns or any(fnmatchcase(file.machine, p) for p in patterns)
        ),
        key=lambda file: file.key,
    )
