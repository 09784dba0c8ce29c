"""Where the files of a bundle lie on a web server, as a message names the place.

The message is not signed: whoever may write it can send a device anywhere. So the
place is one folder of one host, plainly written, and nothing in it is a secret.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from asd_agent.config import LOOPBACK
from asd_agent.errors import BundleError

MAX_URL_CHARACTERS = 2048
"""A longer address is not looked into"""
_PLAIN = re.compile(r"[!-~]+")
"""What an address is made of: ASCII that can be seen"""
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}")


@dataclass(frozen=True, slots=True)
class Address:
    """A folder on a web server."""

    scheme: Literal["http", "https"]
    host: str
    port: int | None
    """None: that of the scheme"""
    folder: str
    """Path with which each file's begins; ends with a slash"""

    @classmethod
    def parse(cls, base_url: str) -> "Address":
        """Read an address; what is wrong is told without repeating it.

        Raises
        ------
        BundleError
            `malformed`: it is not https (http on this device alone), or has a user, a
            query, a fragment, or a path that leads upwards.
        """
        if len(base_url) > MAX_URL_CHARACTERS or not _PLAIN.fullmatch(base_url):
            raise _refusal(
                f"is longer than {MAX_URL_CHARACTERS} characters, or holds a blank"
            )
        if set(base_url) & set("?#@\\"):
            raise _refusal("holds a user, a query, a fragment or a backslash")
        try:
            parts = urlsplit(base_url)
            port = parts.port
        except ValueError:
            raise _refusal("has no host or port that can be") from None
        host = parts.hostname or ""
        if not _HOST.fullmatch(host) or port == 0:
            raise _refusal("has no host or port that can be")
        _check_path(parts)
        if parts.scheme == "https":
            return cls("https", host, port, _folder(parts))
        if parts.scheme == "http" and host in LOOPBACK:
            return cls("http", host, port, _folder(parts))
        raise _refusal("does not begin with https://")

    def path(self, name: str) -> str:
        """What to ask the server for; `name` is a file name of a manifest."""
        return self.folder + name


def _check_path(parts: SplitResult) -> None:
    # Decoded over and over: a server may do so more than once.
    path, before = unquote(parts.path), parts.path
    while path != before:
        path, before = unquote(path), path
    levels = path.replace("\\", "/").split("/")
    if {".", ".."} & set(levels) or not _PLAIN.fullmatch(path or "/"):
        raise _refusal("has a path that leads elsewhere")


def _folder(parts: SplitResult) -> str:
    return parts.path.rstrip("/") + "/"


def _refusal(what: str) -> BundleError:
    return BundleError(
        f"base_url {what}. It must be like https://files.example/bundles/pump-3, or "
        "http for this device itself",
        "malformed",
    )
