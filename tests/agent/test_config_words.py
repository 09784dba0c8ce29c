"""A mistake in a sentence: what was found is shown as it stands, and no secret is."""

from datetime import date

import pytest

from asd_agent.config_words import KeyPath, sentence, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        (True, "true"),
        (5, "5"),
        (1.5, "1.5"),
        ("5", "'5'"),
        (date(2026, 1, 2), "2026-01-02"),
        ([1, 2], "a list"),
        ({"password": "hunter2"}, "keys below it"),
    ],
)
def test_a_value_is_shown_as_it_stands(value: object, text: str) -> None:
    assert shown(("mqtt", "port"), value) == text


def test_a_number_of_many_digits_is_none_to_be_shown() -> None:
    assert shown(("mqtt", "port"), 16**5000) == "a number of many digits"
    assert shown(("mqtt", "port"), -(16**5000)) == "a number of many digits"


def test_a_long_value_is_cut() -> None:
    assert shown(("device",), "x" * 100) == f"'{'x' * 56}..."


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (("mqtt", "password_file"), "hunter2"),
        (("mqtt", "tls", "key"), "hunter2"),
        (("mqtt", "host"), "user:hunter2@broker"),
        (("sources", 0, "token"), "hunter2"),
        (("device",), "password=hunter2"),
    ],
)
def test_a_secret_is_not_shown(key: KeyPath, value: str) -> None:
    assert shown(key, value) == "a value that is not shown"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("devise",), "no such key; did you mean device?"),
        (
            ("keepalive_s",),
            "no such key; it belongs below mqtt: check how far the line is indented",
        ),
        (("mqtt", "outbox", "colour"), "no such key; known: max_bytes, max_age_s, "),
        (("sources", 0, "chanel"), "no such key; did you mean channel?"),
        ((), "no such key; known: device, "),
    ],
)
def test_an_unknown_key_is_told_the_nearest(key: KeyPath, text: str) -> None:
    error = {"type": "extra_forbidden", "input": "hunter2", "msg": ""}
    assert sentence(key, error).startswith(text)


def test_what_pydantic_says_is_the_last_resort() -> None:
    error = {"type": "of_a_later_version", "input": 5, "msg": "Never seen"}
    assert sentence(("device",), error) == "Never seen; found 5"
