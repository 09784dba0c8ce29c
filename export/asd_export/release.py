"""A bundle that is fit to be pushed: checked as the devices will check it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.bundle import Bundle, read_signature
from asd_agent.bundle.disk import read_plain, told
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest
from asd_agent.bundle.signature import PublicKey
from asd_agent.bundle.trust import MANIFEST_FILE, Trust
from asd_agent.errors import BundleError
from asd_agent.mqtt.inbox import MAX_MEMBER_BYTES
from asd_agent.update.desired import Desired, encode


@dataclass(frozen=True, slots=True)
class Release:
    """A whole bundle with the exact bytes of its manifest."""

    bundle: Bundle
    raw: bytes
    """Of ``manifest.json``"""
    signature: bytes
    """Empty: there is none, and that is allowed"""
    key: PublicKey | None
    """Who signed it; None: unsigned, or no key was given to check it with"""

    @property
    def manifest(self) -> Manifest:
        """What it holds."""
        return self.bundle.manifest

    @property
    def members(self) -> dict[str, FileEntry]:
        """Files that devices fetch, by name; of equal ones the first, no empty one."""
        first: dict[str, tuple[str, FileEntry]] = {}
        for name, entry in self.manifest.files.items():
            if entry.bytes:  # an empty file is known by its hash
                first.setdefault(entry.sha256, (name, entry))
        return dict(first.values())

    def wish(self, base_url: str | None = None) -> bytes:
        """Message that asks a device to run it."""
        return encode(Desired(self.raw, self.signature, base_url))


def check(
    folder: Path, keys: Sequence[PublicKey] = (), *, allow_unsigned: bool = False
) -> Release:
    """Check a bundle as a device does: hashes, plain files, signature, nothing extra.

    Parameters
    ----------
    keys
        One of them must have signed it; empty: whoever did.
    allow_unsigned
        Whether it may have no signature.

    Raises
    ------
    BundleError
        The first thing that is wrong.
    """
    signature = read_signature(folder)
    if not signature and not allow_unsigned:
        raise BundleError(
            f"{folder}: is not signed, so devices would refuse it. Sign it:\n"
            f"  asd-export sign {folder} --key KEY",
            "unsigned",
        )
    kind = Bundle.open(folder).manifest.device_class
    trust = Trust(tuple(keys), allow_unsigned or not keys, kind)
    bundle = Bundle.open(folder, trust)
    with told(folder, "cannot be read"):
        raw = read_plain(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
    return Release(bundle, raw, signature or b"", bundle.signed_by)


def check_sizes(release: Release) -> None:
    """See that every file can go by MQTT.

    Raises
    ------
    BundleError
        One is too large.
    """
    for name, entry in release.members.items():
        if entry.bytes > MAX_MEMBER_BYTES:
            raise BundleError(
                f"{name}: has {entry.bytes:,} bytes, at most {MAX_MEMBER_BYTES:,} go "
                "by MQTT. Put the folder on a web server and give --base-url",
                "too_large",
            )
