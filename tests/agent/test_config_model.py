"""What holds for every value of the configuration."""

import math

import pytest
from pydantic import ByteSize, ValidationError

from asd_agent.config_model import MOST, Bytes, ConfigModel, Host


class Inner(ConfigModel):
    size: Bytes = ByteSize(0)


class Outer(ConfigModel):
    count: int = 0
    share: float = 0.0
    flag: bool = False
    name: str = "a"
    host: Host = "b"
    size: Bytes = ByteSize(0)
    inner: Inner = Inner()
    maybe: Inner | None = None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0),
        (5000, 5000),
        ("5000", 5000),
        ("64MiB", 67_108_864),
        ("64 MiB", 67_108_864),
        ("500MB", 500_000_000),
        ("1.5kB", 1500),
        ("1g", 1_000_000_000),
    ],
)
def test_bytes_may_have_a_unit(text: object, size: int) -> None:
    assert Outer.model_validate({"size": text}).size == size


@pytest.mark.parametrize("name", ["broker", "b.example", "10.0.0.1", "::1", "fe80::1"])
def test_a_host_is_a_name_or_an_address(name: str) -> None:
    assert Outer.model_validate({"host": name}).host == name


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("name", "", "is empty"),
        ("name", "a\nb", "cannot be printed"),
        ("count", True, "expected a number"),
        ("share", False, "expected a number"),
        ("size", True, "expected a number"),
        ("maybe", None, "nothing is below it"),
        ("count", MOST + 1, "expected at most"),
        ("count", str(MOST + 1), "expected at most"),
        ("share", -1e300, "expected at most"),
        ("share", math.nan, "finite"),
        ("share", "inf", "finite"),
        ("size", -1, "such as 64MiB"),
        ("size", math.inf, "such as 64MiB"),
        ("size", "9" * 400 + "GB", "such as 64MiB"),
        ("size", "64MiBs", "such as 64MiB"),
        ("size", [1], "such as 64MiB"),
        ("size", None, "such as 64MiB"),
        ("host", "mqtt://b", "alone"),
        ("host", "b:1883", "alone"),
        ("host", "[::1]", "alone"),
        ("host", "u@b", "alone"),
        ("other", 1, "not permitted"),
    ],
)
def test_what_no_key_takes(key: str, value: object, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Outer.model_validate({key: value})
