"""What a device shall run: the message that is sent to it, written and read.

The message names a bundle by its manifest and its signature; the files follow on
their own. `id` and `version` are told beside the manifest for people and for reports:
whoever acts on a bundle takes them from the manifest, after its signature.

The manifest is compressed: every device of a fleet is sent one, and its numbers, the
same for all members, shrink to an eighth.
"""

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, parse
from asd_agent.errors import BundleError

MAX_DESIRED_BYTES = 2_097_152
"""A larger message is not read: a manifest of 1 MiB fits in"""
MAX_PARTS = 64
"""Commas and brackets of a message, which has six keys and no lists. Of 2 MiB of
brackets a reader of JSON would make 340 MB"""


@dataclass(frozen=True, slots=True)
class Desired:
    """A bundle that a device shall run."""

    raw: bytes
    """The exact bytes of ``manifest.json``"""
    signature: bytes
    """The bytes of ``manifest.sig``; empty: there is none"""
    base_url: str | None = None
    """Where the files lie, ``<base_url>/<name>``; None: they come by MQTT"""
    id: str = ""
    """What the message calls the bundle, unproven"""
    version: int = 0
    """The version that the message tells, unproven"""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    v: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: int = Field(ge=1, le=2**53)
    manifest: str
    signature: str | None = Field(None, max_length=1024)
    base_url: str | None = Field(None, max_length=2048)


def encode(desired: Desired) -> bytes:
    """Write the message.

    Raises
    ------
    BundleError
        The manifest is not valid.
    """
    manifest = parse(desired.raw)
    message = _Message(
        id=manifest.id,
        version=manifest.version,
        manifest=base64.b64encode(zlib.compress(desired.raw, 9)).decode(),
        signature=base64.b64encode(desired.signature).decode() or None,
        base_url=desired.base_url,
    )
    return message.model_dump_json().encode()


def decode(body: bytes) -> Desired:
    """Read the message; the manifest in it is not looked into.

    Raises
    ------
    BundleError
        `too_large`, or `malformed`: not such a message.
    """
    if len(body) > MAX_DESIRED_BYTES:
        raise BundleError(
            f"the message has {len(body)} bytes, at most {MAX_DESIRED_BYTES} are read",
            "too_large",
        )
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_PARTS:
        raise _malformed("it has too many parts")
    try:
        message = _Message.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise _malformed(f"{where}: {first['msg']}") from error
    raw = _expanded(_bytes("manifest", message.manifest))
    signature = _bytes("signature", message.signature or "")
    return Desired(raw, signature, message.base_url, message.id, message.version)


def _bytes(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed(f"{name}: not base64: {error}") from error


def _expanded(data: bytes) -> bytes:
    """Expand the manifest, to no more than it may have: little can hold very much."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(data, MAX_MANIFEST_BYTES + 1)
    except zlib.error as error:
        raise _malformed(f"manifest: not compressed by zlib: {error}") from error
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"manifest.json has more than the {MAX_MANIFEST_BYTES} bytes allowed",
            "too_large",
        )
    if not stream.eof or stream.unused_data:
        raise _malformed("manifest: it is cut off, or something follows it")
    return raw


def _malformed(text: str) -> BundleError:
    return BundleError(
        f"the message is not one of asd-export push: {text}. Push the bundle again",
        "malformed",
    )
