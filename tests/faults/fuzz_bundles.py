"""Targets: what a bundle is made of, and the message that names it."""

from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.golden import Golden
from asd_agent.bundle.signature import SIGNATURE_FILE
from asd_agent.bundle.trust import MANIFEST_FILE, Trust, verify
from asd_agent.errors import BundleError
from asd_agent.update.desired import Desired, decode, encode
from faults.fuzz_target import Make, Target
from faults.mutation import altered_json, mutated, tensors
from support.bundles import GOLDEN, forge, key_pair, public, reforge, sign

REFUSALS = (BundleError,)


def manifest(folder: Path) -> Target:
    """A manifest whose signature is not asked for."""
    raw = (forge(folder / "bundle", statistics=True) / MANIFEST_FILE).read_bytes()
    trust = Trust(allow_unsigned=True)

    def read(content: bytes) -> None:
        verify(content, None, trust)

    return Target("manifest", (raw,), read, altered_json, REFUSALS)


def signed_manifest(folder: Path) -> Target:
    """A manifest that somebody else has signed."""
    raw, signature, trust = _signed(folder)

    def read(content: bytes) -> None:
        verify(content, signature, trust)

    return Target("signed manifest", (raw,), read, altered_json, REFUSALS)


def signature(folder: Path) -> Target:
    """A signature of a manifest that is good."""
    raw, good, trust = _signed(folder)

    def read(content: bytes) -> None:
        verify(raw, content, trust)

    return Target("signature", (good,), read, mutated, REFUSALS)


def golden(folder: Path) -> Target:
    """The golden numbers, in a bundle whose hashes are right."""
    bundle = forge(folder / "bundle", statistics=True)

    def read(content: bytes) -> None:
        reforge(bundle, GOLDEN, content)
        Golden.open(Bundle.open(bundle))

    seed = (bundle / GOLDEN).read_bytes()
    return Target("golden numbers", (seed,), read, tensors, REFUSALS)


def desired(folder: Path) -> Target:
    """The message that says what a device shall run."""
    raw, good, _ = _signed(folder)
    wish = encode(Desired(raw, good, "https://example.org/bundles"))
    return Target("bundle/desired", (wish,), decode, altered_json, REFUSALS)


def _signed(folder: Path) -> tuple[bytes, bytes, Trust]:
    (folder / "keys").mkdir()
    key, _ = key_pair(folder / "keys")
    bundle = sign(forge(folder / "signed", statistics=True), key)
    raw = (bundle / MANIFEST_FILE).read_bytes()
    return raw, (bundle / SIGNATURE_FILE).read_bytes(), Trust(keys=(public(key),))


BUNDLES: dict[str, Make] = {
    "manifest": manifest,
    "signed manifest": signed_manifest,
    "signature": signature,
    "golden numbers": golden,
    "bundle/desired": desired,
}
