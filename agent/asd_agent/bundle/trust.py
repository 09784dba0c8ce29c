"""All rules by which a manifest is trusted; no file is touched here.

In this order, and nothing is read out of the manifest before its signature is right:

1. It has at most `MAX_MANIFEST_BYTES`.
2. A trusted key signed exactly these bytes. With `allow_unsigned` there may be no
   signature; one that is there must be right, if any key is there to judge it.
3. It follows the schema, and takes no name that the device needs for itself.
4. It was made for the class of this device, or for ``any``.
5. Its identifier was not rejected here before.
6. Its version is greater than that of the installed bundle: an old bundle, however
   well it is signed, does not come back. `allow_downgrade` leaves this out.

An error of rules 1 to 3 knows no identifier, so nobody without a key can have one
remembered as rejected.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, Manifest, parse
from asd_agent.bundle.signature import SIGNATURE_FILE, PublicKey, check
from asd_agent.errors import BundleError

MANIFEST_FILE = "manifest.json"
"""What describes a bundle"""
STATE_FILE = "state.json"
"""Lies beside the installed bundles, so none may be called so"""
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose bundles this device takes."""

    keys: tuple[PublicKey, ...] = ()
    allow_unsigned: bool = False
    """Take bundles without a signature"""
    device_class: str = "any"
    """Kind of this device"""
    allow_downgrade: bool = False
    """Take a version that is not greater than the installed one"""


def signer(raw: bytes, signature: bytes | None, trust: Trust) -> PublicKey | None:
    """Key that signed the bytes of a manifest; None: unsigned, and that is allowed.

    Raises
    ------
    BundleError
        Rule 2: ``unsigned`` or ``untrusted``.
    """
    if trust.allow_unsigned and (not signature or not trust.keys):
        return None
    return check(raw, signature, trust.keys)


def verify(
    raw: bytes,
    signature: bytes | None,
    trust: Trust,
    installed_version: int | None = None,
    rejected: Mapping[str, str] = NOTHING,
) -> Manifest:
    """Read a manifest that may be installed here.

    Parameters
    ----------
    raw
        Exact bytes of ``manifest.json``.
    signature
        Bytes of ``manifest.sig``; None: there is none.
    installed_version
        That of the installed bundle; None: none is installed.
    rejected
        Reason by identifier of the bundles that failed here.

    Raises
    ------
    BundleError
        The first rule that is broken. Reasons, in this order: ``too_large``,
        ``unsigned``, ``untrusted``, ``malformed``, ``device_class``,
        ``rejected_before``, ``not_newer``.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"{MANIFEST_FILE} has {len(raw)} bytes, at most {MAX_MANIFEST_BYTES} are "
            "allowed",
            "too_large",
        )
    signer(raw, signature, trust)
    try:
        manifest = parse(raw)
    except BundleError as error:
        raise BundleError(str(error), "malformed") from error
    _check_names(manifest)
    if manifest.device_class not in {"any", trust.device_class}:
        raise BundleError(
            f"{manifest.id} is made for devices of class {manifest.device_class}, this "
            f"one is of class {trust.device_class}. Push a bundle for "
            f"{trust.device_class} or any, or correct bundle.device_class",
            "device_class",
        )
    if manifest.id in rejected:
        raise BundleError(
            f"{manifest.id} was rejected by this device before "
            f"({rejected[manifest.id]}). Push a mended bundle under another id",
            "rejected_before",
        )
    _check_newer(manifest, trust, installed_version)
    return manifest


def is_name(name: str) -> bool:
    """Whether a bundle may have this identifier, which names its folder too."""
    return bool(_ID.fullmatch(name)) and not name.startswith(STATE_FILE)


def _check_names(manifest: Manifest) -> None:
    if not is_name(manifest.id):
        raise BundleError(
            f"{MANIFEST_FILE}: id: {manifest.id} begins with {STATE_FILE}, a name that "
            "the device needs. Build the bundle under another id",
            "malformed",
        )
    taken = {MANIFEST_FILE, SIGNATURE_FILE} & set(manifest.files)
    if taken:
        raise BundleError(
            f"{MANIFEST_FILE}: files: lists {min(taken)}, which cannot hold its own "
            "hash. Build the bundle again",
            "malformed",
        )


def _check_newer(manifest: Manifest, trust: Trust, installed: int | None) -> None:
    if trust.allow_downgrade or installed is None or manifest.version > installed:
        return
    raise BundleError(
        f"{manifest.id} is version {manifest.version}, version {installed} is "
        f"installed: a bundle must be newer, at least {installed + 1}. Build it with "
        "a greater version",
        "not_newer",
    )
