"""What a device shall run comes over as it was sent, or not at all."""

import base64
import json
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.errors import BundleError
from asd_agent.update.desired import MAX_DESIRED_BYTES, Desired, decode, encode
from support.staging import files, manifest_of

RAW = manifest_of(files())
WELL: dict[str, Any] = {
    "v": 1,
    "id": "pump-a",
    "version": 3,
    "manifest": base64.b64encode(zlib.compress(RAW)).decode(),
    "signature": base64.b64encode(bytes(64)).decode(),
    "base_url": None,
}


@pytest.mark.parametrize("signature", [b"", bytes(range(64))])
@pytest.mark.parametrize("base_url", [None, "https://files.example/pump-a"])
def test_what_was_written_is_read(signature: bytes, base_url: str | None) -> None:
    body = encode(Desired(RAW, signature, base_url))
    assert decode(body) == Desired(RAW, signature, base_url, "pump-a", 3)
    assert json.loads(body)["id"] == "pump-a"


def test_no_bundle_without_a_valid_manifest_is_sent() -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        encode(Desired(b"{}", bytes(64)))


def test_an_unsigned_bundle_says_null() -> None:
    assert json.loads(encode(Desired(RAW, b"")))["signature"] is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("v", 2),
        ("id", "../etc"),
        ("id", None),
        ("version", 0),
        ("version", 2**63),
        ("version", "3"),
        ("manifest", "not base64!"),
        ("manifest", "YQ"),
        ("manifest", 7),
        ("signature", "YQ"),
        ("signature", "A" * 2000),
        ("base_url", "x" * 3000),
        ("more", 1),
    ],
)
def test_a_message_of_another_kind_is_refused(key: str, value: object) -> None:
    body = json.dumps(WELL | {key: value}).encode()
    with pytest.raises(BundleError, match="Push the bundle again") as refused:
        decode(body)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("key", ["id", "version", "manifest"])
def test_a_message_without_a_key_is_refused(key: str) -> None:
    body = json.dumps({k: v for k, v in WELL.items() if k != key}).encode()
    with pytest.raises(BundleError, match=key):
        decode(body)


def test_a_message_that_is_too_large_is_not_read() -> None:
    with pytest.raises(BundleError) as refused:
        decode(b" " * (MAX_DESIRED_BYTES + 1))
    assert refused.value.reason == "too_large"


def test_a_manifest_that_expands_without_end_is_not_expanded() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(500_000_000), 9)).decode()
    body = json.dumps(WELL | {"manifest": bomb}).encode()
    assert len(body) < MAX_DESIRED_BYTES
    tracemalloc.start()
    with pytest.raises(BundleError) as refused:
        decode(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.reason == "too_large"
    assert peak < 8_000_000


def test_the_largest_manifest_is_read() -> None:
    most = base64.b64encode(zlib.compress(bytes(1_048_576))).decode()
    assert len(decode(json.dumps(WELL | {"manifest": most}).encode()).raw) == 1_048_576
    more = base64.b64encode(zlib.compress(bytes(1_048_577))).decode()
    with pytest.raises(BundleError) as refused:
        decode(json.dumps(WELL | {"manifest": more}).encode())
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize("change", ["cut", "more", "plain", "empty"])
def test_a_manifest_that_is_not_whole_is_refused(change: str) -> None:
    whole = zlib.compress(RAW)
    data = {"cut": whole[:-1], "more": whole + b"x", "plain": RAW, "empty": b""}[change]
    body = json.dumps(WELL | {"manifest": base64.b64encode(data).decode()}).encode()
    with pytest.raises(BundleError, match="Push the bundle again") as refused:
        decode(body)
    assert refused.value.reason == "malformed"


def test_a_wish_is_small() -> None:
    raw = (DEFAULT_BUNDLE / "manifest.json").read_bytes()
    assert len(encode(Desired(raw, bytes(64)))) < len(raw) / 4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*WELL, "x"]), inner, max_size=7)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    with suppress(BundleError):  # and nothing else is raised
        assert decode(body).id


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(BundleError):
        decode(b"[" * 1_000_000)


@pytest.mark.parametrize("part", [b"[[[]]], ", b'{"a": 1}, ', b"0, "])
def test_many_parts_are_not_read_into_memory(part: bytes) -> None:
    """Each bracket of JSON becomes an object of some hundred bytes."""
    body = b"[" + part * (MAX_DESIRED_BYTES // len(part) - 1) + b"0]"
    assert len(body) < MAX_DESIRED_BYTES
    with pytest.raises(BundleError, match="too many parts") as caught:
        decode(body)
    assert caught.value.reason == "malformed"
