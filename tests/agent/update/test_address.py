import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.errors import BundleError
from asd_agent.update.address import Address


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        (
            "https://files.example/bundles/pump-3",
            Address("https", "files.example", None, "/bundles/pump-3/"),
        ),
        ("https://files.example", Address("https", "files.example", None, "/")),
        ("HTTPS://Files.Example:8443/", Address("https", "files.example", 8443, "/")),
        ("https://[2001:db8::1]/a/", Address("https", "2001:db8::1", None, "/a/")),
        ("http://localhost:8000/a", Address("http", "localhost", 8000, "/a/")),
        ("http://127.0.0.1/a", Address("http", "127.0.0.1", None, "/a/")),
        ("http://[::1]:80/a", Address("http", "::1", 80, "/a/")),
    ],
)
def test_a_folder_of_a_server_is_read(base_url: str, expected: Address) -> None:
    address = Address.parse(base_url)
    assert address == expected
    assert address.path("model.onnx") == expected.folder + "model.onnx"


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "pump-3",
        "http://files.example/a",
        "http://localhost.example/a",
        "http://127.0.0.1.example/a",
        "ftp://files.example/a",
        "file:///etc",
        "//files.example/a",
        "https:/files.example/a",
        "https://",
        "https:///a",
        "https://user:s3cret@files.example/a",
        "https://s3cret@files.example/a",
        "https://files.example/a?token=s3cret",
        "https://files.example/a?",
        "https://files.example/a#s3cret",
        "https://files.example/a/../b",
        "https://files.example/..",
        "https://files.example/a/%2e%2e/b",
        "https://files.example/a/%252e%252e/b",
        "https://files.example/a%2f..%2fb",
        "https://files.example/a/./b",
        "https://files.example\\@other.example/a",
        "https://files.example/a%5c..%5cb",
        "https://files.example/a b",
        "https://files.example/a%20b",
        "https://files.example/a\r\nHost: other",
        "https://files.example/%0d%0aHost:%20other",
        "https://files.example/ä",
        "https://files.example:0/a",
        "https://files.example:65536/a",
        "https://files.example:x/a",
        "https://[::1/a",
        "https://files_example/a",
        "https://files.example/" + "a" * 2048,
    ],
)
def test_any_other_address_is_refused_and_not_repeated(base_url: str) -> None:
    with pytest.raises(BundleError) as caught:
        Address.parse(base_url)
    assert caught.value.reason == "malformed"
    for secret in ("s3cret", "other"):
        assert secret not in str(caught.value)


@given(st.text() | st.from_regex(r"https?://[!-~]{0,40}", fullmatch=True))
def test_whatever_is_taken_stays_in_its_folder(base_url: str) -> None:
    try:
        address = Address.parse(base_url)
    except BundleError:
        return
    assert address.scheme in {"http", "https"}
    assert address.host.isascii()
    assert address.folder.startswith("/")
    assert address.folder.endswith("/")
    assert not {"..", "."} & set(address.folder.split("/"))
    assert not set(address.folder) & set("?#@\\ ")
    assert address.port is None or 0 < address.port < 65_536
