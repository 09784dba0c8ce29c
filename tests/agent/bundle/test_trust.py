"""One test for each attack on what may be installed; the rules touch no file."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, Manifest
from asd_agent.bundle.signature import message
from asd_agent.bundle.state import StoreState
from asd_agent.bundle.trust import Trust, signer, verify
from asd_agent.errors import BundleError
from support.bundles import forge, public

OURS = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
NEXT = Ed25519PrivateKey.from_private_bytes(b"n" * 32)
THEIRS = Ed25519PrivateKey.from_private_bytes(b"t" * 32)
TRUST = Trust(keys=(public(OURS, "ours"),), device_class="pi4")
UNSIGNED = Trust(allow_unsigned=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A manifest as data."""
    folder = forge(tmp_path_factory.mktemp("trust") / "bundle")
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
    return found | {"id": "pump-2", "version": 2}


def signed(
    plain: dict[str, Any], key: Ed25519PrivateKey = OURS, **changes: Any
) -> tuple[bytes, bytes]:
    raw = json.dumps(plain | changes).encode()
    return raw, key.sign(message(raw))


def refusal(
    raw: bytes, signature: bytes | None, trust: Trust = TRUST, **others: Any
) -> BundleError:
    with pytest.raises(BundleError) as caught:
        verify(raw, signature, trust, **others)
    return caught.value


def test_what_is_ours_and_newer_is_taken(plain: dict[str, Any]) -> None:
    raw, signature = signed(plain)
    manifest = verify(raw, signature, TRUST)
    assert manifest == Manifest.model_validate_json(raw)
    assert verify(raw, signature, TRUST, 1, {"pump-1": "differs"}) == manifest
    assert signer(raw, signature, TRUST) == TRUST.keys[0]


def test_unsigned(plain: dict[str, Any]) -> None:
    error = refusal(signed(plain)[0], None)
    assert error.reason == "unsigned"
    assert "bundle.allow_unsigned" in str(error)


def test_wrong_key(plain: dict[str, Any]) -> None:
    error = refusal(*signed(plain, THEIRS))
    assert error.reason == "untrusted"
    assert "ours (" in str(error)


def test_the_signature_of_another_bundle(plain: dict[str, Any]) -> None:
    raw, _ = signed(plain)
    _, signature = signed(plain, version=3)
    assert refusal(raw, signature).reason == "untrusted"


def test_a_bit_is_flipped_anywhere(plain: dict[str, Any]) -> None:
    raw, signature = signed(plain)
    for at in range(0, len(raw) * 8, 37):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        assert refusal(bytes(flipped), signature).reason == "untrusted"


def test_the_same_data_written_otherwise(plain: dict[str, Any]) -> None:
    raw, signature = signed(plain)
    assert refusal(raw + b"\n", signature).reason == "untrusted"


def test_an_older_version(plain: dict[str, Any]) -> None:
    error = refusal(*signed(plain), installed_version=3)
    assert error.reason == "not_newer"
    assert "pump-2 is version 2, version 3 is installed" in str(error)
    assert "at least 4" in str(error)


def test_the_same_version_under_another_id(plain: dict[str, Any]) -> None:
    error = refusal(*signed(plain, id="pump-2b"), installed_version=2)
    assert error.reason == "not_newer"


def test_an_older_version_that_an_operator_wants(plain: dict[str, Any]) -> None:
    trust = Trust(keys=TRUST.keys, allow_downgrade=True)
    for installed in (2, 3):
        assert verify(*signed(plain), trust, installed).version == 2


def test_another_device_class(plain: dict[str, Any]) -> None:
    assert verify(*signed(plain, device_class="pi4"), TRUST).device_class == "pi4"
    error = refusal(*signed(plain, device_class="jetson"))
    assert error.reason == "device_class"
    assert "of class jetson, this one is of class pi4" in str(error)
    anybody = Trust(keys=TRUST.keys)
    error = refusal(*signed(plain, device_class="pi4"), anybody)
    assert error.reason == "device_class"


def test_an_id_that_was_rejected(plain: dict[str, Any]) -> None:
    error = refusal(*signed(plain), rejected={"pump-2": "hung"})
    assert error.reason == "rejected_before"
    assert "rejected by this device before (hung)" in str(error)
    assert "under another id" in str(error)


def test_too_large(plain: dict[str, Any]) -> None:
    raw, signature = signed(plain, licence="x" * MAX_MANIFEST_BYTES)
    error = refusal(raw, signature)
    assert error.reason == "too_large"
    assert f"has {len(raw)} bytes, at most {MAX_MANIFEST_BYTES}" in str(error)


def test_a_key_is_rolled(plain: dict[str, Any]) -> None:
    old, new = public(OURS, "old"), public(NEXT, "new")
    both = Trust(keys=(old, new))
    assert verify(*signed(plain, OURS), both).id == "pump-2"
    assert verify(*signed(plain, NEXT), both).id == "pump-2"
    assert signer(*signed(plain, NEXT), both) == new
    dropped = Trust(keys=(new,))
    assert verify(*signed(plain, NEXT), dropped).id == "pump-2"
    assert refusal(*signed(plain, OURS), dropped).reason == "untrusted"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../pump"},
        {"id": "/etc/passwd"},
        {"id": "."},
        {"id": ""},
        {"id": "pump-2\n"},
        {"id": "state.json"},
        {"id": "state.json.broken-20260101t000000z"},
        {"version": 0},
        {"version": "new"},
        {"files": {"../golden.safetensors": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {}},
        {"schema_version": 2},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_signed_manifest_that_cannot_be(
    plain: dict[str, Any], changes: dict[str, Any]
) -> None:
    error = refusal(*signed(plain, **changes))
    assert error.reason == "malformed"
    assert "manifest.json" in str(error)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
def test_a_manifest_that_lists_itself(plain: dict[str, Any], name: str) -> None:
    files = plain["files"] | {name: {"bytes": 1, "sha256": "0" * 64}}
    error = refusal(*signed(plain, files=files))
    assert error.reason == "malformed"
    assert f"lists {name}" in str(error)


def test_nothing_is_read_out_of_a_manifest_before_its_signature() -> None:
    # Whatever it is: without the key nobody learns what a parser makes of it.
    for raw in (b"", b"{", b"[" * 100_000, b'{"id": "pump-2", "version": 0}'):
        assert refusal(raw, None).reason == "unsigned"
        assert refusal(raw, THEIRS.sign(message(raw))).reason == "untrusted"
        assert refusal(raw, OURS.sign(message(raw))).reason == "malformed"


def test_rules_are_asked_in_their_order(plain: dict[str, Any]) -> None:
    foreign = {"device_class": "jetson"}
    broken = foreign | {"surprise": 1}
    large = broken | {"licence": "x" * MAX_MANIFEST_BYTES}
    others: dict[str, Any] = {"installed_version": 9, "rejected": {"pump-2": "hung"}}
    for key, changes, reason in (
        (THEIRS, large, "too_large"),
        (THEIRS, broken, "untrusted"),
        (OURS, broken, "malformed"),
        (OURS, foreign, "device_class"),
        (OURS, {}, "rejected_before"),
    ):
        assert refusal(*signed(plain, key, **changes), **others).reason == reason
    assert refusal(*signed(plain), installed_version=9).reason == "not_newer"


def test_unsigned_bundles_where_they_are_allowed(plain: dict[str, Any]) -> None:
    raw, signature = signed(plain)
    assert verify(raw, None, UNSIGNED).id == "pump-2"
    assert signer(raw, None, UNSIGNED) is None
    # Nobody can judge a signature without a key: it counts as none.
    assert verify(raw, THEIRS.sign(message(raw)), UNSIGNED).id == "pump-2"
    both = Trust(keys=TRUST.keys, allow_unsigned=True)
    assert signer(raw, signature, both) == TRUST.keys[0]
    assert signer(raw, None, both) is None
    assert refusal(raw, THEIRS.sign(message(raw)), both).reason == "untrusted"
    # All other rules hold.
    assert refusal(b"{", None, UNSIGNED).reason == "malformed"
    assert refusal(raw, None, UNSIGNED, installed_version=2).reason == "not_newer"
    raw, _ = signed(plain, device_class="jetson")
    assert refusal(raw, None, UNSIGNED).reason == "device_class"


def test_nobody_without_a_key_can_have_an_id_rejected(plain: dict[str, Any]) -> None:
    state = StoreState()
    raw, _ = signed(plain)
    for signature in (None, THEIRS.sign(message(raw)), b"x"):
        error = refusal(raw, signature)
        state = state.refused("pump-2", error.reason)
    assert state.rejected == {}
    assert verify(*signed(plain), TRUST, rejected=state.rejected).id == "pump-2"


@given(st.binary(max_size=300))
def test_no_bytes_are_ever_taken_or_crash(raw: bytes) -> None:
    assert refusal(raw, raw[:64]).reason in {"unsigned", "untrusted"}
    assert refusal(raw, OURS.sign(message(raw))).reason == "malformed"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data=st.data())
def test_a_signed_manifest_with_any_value_is_taken_or_refused(
    plain: dict[str, Any], data: st.DataObject
) -> None:
    key = data.draw(st.sampled_from(sorted(plain)))
    raw = json.dumps(plain | {key: data.draw(_json)}).encode()
    reason = ""
    try:
        manifest = verify(raw, OURS.sign(message(raw)), TRUST)
    except BundleError as error:
        reason = error.reason
    else:
        assert Path(manifest.id).name == manifest.id
    assert reason in {"", "malformed", "device_class"}
