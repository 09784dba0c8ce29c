"""Read a bundle from a folder; nothing of it is used before its hash is right."""

import hashlib
from pathlib import Path

from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest, parse
from asd_agent.errors import BundleError

DEFAULT_BUNDLE = Path(__file__).parent.parent / "default_bundle"
"""The bundle that comes with the software"""


class Bundle:
    """A verified bundle."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path = DEFAULT_BUNDLE) -> "Bundle":
        """Read the manifest and check size and hash of every file it lists.

        Raises
        ------
        BundleError
            No bundle is there, a file is missing, has another size or hash, or
            is not a plain file.
        """
        raw = _read(path, "manifest.json", MAX_MANIFEST_BYTES)
        bundle = cls(path, parse(raw))
        for name in bundle.manifest.files:
            bundle.read(name)
        return bundle

    def read(self, name: str) -> bytes:
        """Contents of a listed file, hashed again: it may have changed since."""
        entry = self.manifest.files[name]
        raw = _read(self.path, name, entry.bytes)
        _verify(self.path / name, raw, entry)
        return raw


def _read(folder: Path, name: str, most: int) -> bytes:
    path = folder / name
    try:
        if path.is_symlink() or not path.is_file():
            raise BundleError(
                f"{path}: not a plain file. A bundle is a folder with a manifest.json "
                "beside the files that it lists: copy the whole folder"
            )
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > most:
        raise BundleError(f"{path}: has more than the {most} bytes that are allowed")
    return raw


def _verify(path: Path, raw: bytes, entry: FileEntry) -> None:
    if len(raw) != entry.bytes:
        raise BundleError(
            f"{path}: has {len(raw)} bytes, the manifest says {entry.bytes}. "
            "Copy the bundle again"
        )
    found = hashlib.sha256(raw).hexdigest()
    if found != entry.sha256:
        raise BundleError(
            f"{path}: its SHA-256 is {found[:12]}..., the manifest says "
            f"{entry.sha256[:12]}.... It was changed or damaged: copy the bundle again"
        )
