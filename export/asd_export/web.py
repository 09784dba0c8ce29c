"""Whether a web server holds the files of a bundle as devices will ask for them."""

import contextlib
import re
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from asd_agent.bundle.manifest import FileEntry
from asd_agent.errors import BundleError, ConfigError
from asd_agent.update.address import Address

TIMEOUT_S = 20.0
"""Seconds that a server may take to answer"""
NO_HEAD = frozenset({403, 405, 501})
"""Answers of servers that know no HEAD; signed addresses of object stores do not"""


def check(
    base_url: str, members: Mapping[str, FileEntry], ca: Path | None = None
) -> None:
    """See that every file is there with the right size; redirects are not followed.

    Parameters
    ----------
    base_url
        Folder of the files.
    ca
        Certificate authority in PEM; None: those of the system.

    Raises
    ------
    BundleError
        The address is none that devices ask, or a file is not there as it should be.
    ConfigError
        `ca` cannot be read.
    """
    address = Address.parse(base_url)
    context = _context(ca) if address.scheme == "https" else None
    for name, entry in members.items():
        with _connected(address, context) as connection:
            size = _size(connection, address.path(name), name)
        if size not in {entry.bytes, None}:
            raise _wrong(
                name, f"has {size:,} bytes there, {entry.bytes:,} in the bundle"
            )


def _size(connection: HTTPConnection, path: str, name: str) -> int | None:
    """Bytes of a file; None: the server does not say."""
    for method in ("HEAD", "GET"):
        # One byte will do: the answer tells of how many.
        headers = {"Accept-Encoding": "identity"} | (
            {"Range": "bytes=0-0"} if method == "GET" else {}
        )
        connection.request(method, path, headers=headers, preload_content=False)
        with contextlib.closing(connection.getresponse()) as answer:
            status, length = answer.status, answer.headers.get("Content-Length", "")
            whole = re.fullmatch(
                r"bytes 0-0/(\d{1,18})", answer.headers.get("Content-Range", "")
            )
        connection.close()
        if status == 206 and whole:
            return int(whole[1])
        if status == 200:
            return int(length) if re.fullmatch(r"\d{1,18}", length) else None
        if method == "GET" or status not in NO_HEAD:
            break
    hint = "; devices follow no redirect" if 300 <= status < 400 else ""
    raise _wrong(name, f"the server answers {status}{hint}")


@contextlib.contextmanager
def _connected(
    address: Address, context: ssl.SSLContext | None
) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
    if context is not None:
        connection = HTTPSConnection(
            address.host,
            address.port,
            timeout=TIMEOUT_S,
            cert_reqs="CERT_REQUIRED",
            ssl_context=context,
        )
    try:
        yield connection
    except ssl.SSLCertVerificationError as error:
        raise BundleError(
            f"the certificate of {address.host} is not accepted: "
            f"{error.verify_message}. --web-ca names its authority here, bundle.ca on "
            "the devices",
            "unavailable",
        ) from error
    except (OSError, HTTPError, HTTPException) as error:
        raise BundleError(
            f"{address.host}: cannot be asked: {error}", "unavailable"
        ) from error
    finally:
        connection.close()


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigError(
            f"--web-ca {ca} cannot be used: {error.strerror or error}. It must be a "
            "readable PEM file"
        ) from error


def _wrong(name: str, what: str) -> BundleError:
    return BundleError(
        f"{name}: {what}. Copy the whole folder of the bundle to --base-url",
        "unavailable",
    )
