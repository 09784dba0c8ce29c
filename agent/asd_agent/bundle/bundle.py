"""Read a bundle from a folder; nothing of it is used before its hash is right."""

import hashlib
from pathlib import Path

from asd_agent.bundle.disk import NotPlain, hash_plain, read_plain
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, FileEntry, Manifest, parse
from asd_agent.bundle.signature import SIGNATURE_BYTES, SIGNATURE_FILE, PublicKey
from asd_agent.bundle.trust import MANIFEST_FILE, Trust, signer, verify
from asd_agent.errors import BundleError

DEFAULT_BUNDLE = Path(__file__).parent.parent / "default_bundle"
"""The bundle that comes with the software"""


class Bundle:
    """A verified bundle."""

    def __init__(
        self, path: Path, manifest: Manifest, signed_by: PublicKey | None = None
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.signed_by = signed_by
        """None: nobody asked, or it is unsigned and that is allowed"""

    @classmethod
    def open(cls, path: Path = DEFAULT_BUNDLE, trust: Trust | None = None) -> "Bundle":
        """Read the manifest and check size and hash of every file it lists.

        Parameters
        ----------
        trust
            Whose bundles are taken: the signature is checked before anything else,
            and a file that the manifest does not list is refused. None: the bundle
            comes with the software, or its builder looks at it.

        Raises
        ------
        BundleError
            No bundle is there, it is not to be trusted, a file is missing, has
            another size or hash, or is not a plain file.
        """
        raw = _read(path, MANIFEST_FILE, MAX_MANIFEST_BYTES)
        key = None
        if trust is None:
            manifest = parse(raw)
        else:
            signature = read_signature(path)
            try:
                manifest = verify(raw, signature, trust)
                key = signer(raw, signature, trust)
            except BundleError as error:
                raise BundleError(f"{path}: {error}", error.reason) from error
            refuse_extra(path, manifest)
        for name, entry in manifest.files.items():
            check_file(path, name, entry)
        return cls(path, manifest, key)

    def read(self, name: str) -> bytes:
        """Contents of a listed file, hashed again: it may have changed since."""
        entry = self.manifest.files[name]
        raw = _read(self.path, name, entry.bytes)
        _compare(self.path / name, len(raw), hashlib.sha256(raw).hexdigest(), entry)
        return raw


def read_signature(folder: Path) -> bytes | None:
    """Contents of ``manifest.sig``; None: there is none.

    Raises
    ------
    BundleError
        It is there and cannot be read, or is too large for a signature.
    """
    try:
        return _read(folder, SIGNATURE_FILE, SIGNATURE_BYTES)
    except BundleError as error:
        if error.reason == "missing_file":
            return None
        raise


def check_file(folder: Path, name: str, entry: FileEntry) -> None:
    """See that a file is what the manifest says; of a large one little is in memory.

    Raises
    ------
    BundleError
        ``missing_file``, ``not_plain``, ``changed``, or it cannot be read.
    """
    path = folder / name
    try:
        count, digest = hash_plain(path, entry.bytes)
    except OSError as error:
        raise _unreadable(path, error) from error
    _compare(path, count, digest, entry)


def refuse_extra(folder: Path, manifest: Manifest) -> None:
    """See that nothing lies in the folder that the manifest does not list.

    Raises
    ------
    BundleError
        ``extra_file``: nobody vouches for it.
    """
    known = {MANIFEST_FILE, SIGNATURE_FILE, *manifest.files}
    try:
        extra = {path.name for path in folder.iterdir()} - known
    except OSError as error:
        raise _unreadable(folder, error) from error
    if extra:
        raise BundleError(
            f"{folder / min(extra)}: is not listed in {MANIFEST_FILE}. Remove it",
            "extra_file",
        )


def _read(folder: Path, name: str, most: int) -> bytes:
    path = folder / name
    try:
        raw = read_plain(path, most)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(raw) > most:
        raise BundleError(
            f"{path}: has more than the {most} bytes that are allowed. "
            "Copy the bundle again",
            "too_large" if name == MANIFEST_FILE else "changed",
        )
    return raw


def _unreadable(path: Path, error: OSError) -> BundleError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return BundleError(
            f"{path}: is missing. A bundle is a folder with a {MANIFEST_FILE} "
            "beside the files that it lists: copy the whole folder",
            "missing_file",
        )
    if isinstance(error, NotPlain):
        return BundleError(
            f"{path}: not a plain file. A bundle is a folder with a {MANIFEST_FILE} "
            "beside the files that it lists: copy the files themselves",
            "not_plain",
        )
    return BundleError(f"{path}: cannot be read: {error.strerror or error}")


def _compare(path: Path, count: int, digest: str, entry: FileEntry) -> None:
    if count > entry.bytes:
        raise BundleError(
            f"{path}: has more than the {entry.bytes} bytes that the manifest says. "
            "Copy the bundle again",
            "changed",
        )
    if count < entry.bytes:
        raise BundleError(
            f"{path}: has {count} bytes, the manifest says {entry.bytes}. "
            "Copy the bundle again",
            "changed",
        )
    if digest != entry.sha256:
        raise BundleError(
            f"{path}: its SHA-256 is {digest[:12]}..., the manifest says "
            f"{entry.sha256[:12]}.... It was changed or damaged: copy the bundle again",
            "changed",
        )
