"""No secret gets through, and nothing else is lost."""

import json
import logging
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.config import Config
from asd_agent.doctor.scrubber import ScrubbedLog, Scrubber


def scrubber() -> Scrubber:
    return Scrubber({})


def test_what_is_known_is_hidden_wherever_it_stands() -> None:
    scrub = scrubber()
    scrub.learn(["open sesame", "a/b+c"])
    assert scrub("say open sesame!") == "say ***!"
    assert scrub("https://x/?q=open%20sesame") == "https://x/?q=***"
    assert scrub("xa/b+cx a%2Fb%2Bc") == "x***x ***"


def test_a_secret_within_another_is_hidden_as_well() -> None:
    scrub = scrubber()
    scrub.learn(["abcd", "abcdefgh"])
    assert scrub("abcdefgh abcd") == "*** ***"


def test_a_short_secret_is_hidden_where_it_stands_alone() -> None:
    scrub = scrubber()
    scrub.learn(["7a"])
    assert scrub("press-7a, 7a, 7ab, x7a") == "press-***, ***, 7ab, x7a"


def test_an_empty_secret_hides_nothing() -> None:
    scrub = scrubber()
    scrub.learn(["", "  ", "\n"])
    assert scrub("all is said") == "all is said"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4))
def test_any_secret_is_hidden_as_text_and_as_json(secret: str) -> None:
    scrub = scrubber()
    scrub.learn([secret])
    bare = secret.strip()
    if len(bare) >= 4 and bare not in "***":
        assert bare not in scrub(f"<{secret}>").replace("***", "")
        coded = json.dumps(f"<{bare}>")
        assert json.dumps(bare)[1:-1] not in scrub(coded).replace("***", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://eve:sesame@cam.plant/a", "rtsp://***@cam.plant/a"),
        ("rtsp:/eve:ses/ame@cam/a: no file", "rtsp:/***@cam/a: no file"),
        ("http://x/a?token=sesame&b=1", "http://x/a?token=***&b=1"),
        ("see http://x/a?sig_v2=sesame.", "see http://x/a?sig_v2=***"),
        (
            "a\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\nb",
            "a\n*** (private key)\nb",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMHcC", "*** (private key)"),
        ("usb:0d8c:0014@1-1.2", "usb:0d8c:0014@1-1.2"),
        ("mail plant@example.com", "mail plant@example.com"),
        (
            "mqtt.password_file /etc/x: is missing",
            "mqtt.password_file /etc/x: is missing",
        ),
        (
            "asd.yaml:4: mqtt.password: no such key",
            "asd.yaml:4: mqtt.password: no such key",
        ),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, shown: str) -> None:
    assert scrubber()(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=sesame, b=1", "password=***, b=1"),
        ('{"api_key": "ses ame", "b": 1}', '{"api_key": ***, "b": 1}'),
        ("MQTT_PASSWORD: 'ses ame' x", "MQTT_PASSWORD: *** x"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("the password is asked for", "the password is asked for"),
        ("password_file: /etc/asd/mqtt", "password_file: /etc/asd/mqtt"),
    ],
)
def test_what_others_call_a_secret_is_hidden(text: str, shown: str) -> None:
    assert scrubber().foreign(text) == shown


def test_variables_that_are_called_secrets_are_hidden() -> None:
    names = {"MQTT_PASSWORD": "sesame", "API_KEY": "k3y-of-it"}
    scrub = Scrubber(names | {"KEYBOARD": "german", "HOME": "/home/eve"})
    text = "sesame k3y-of-it german /home/eve"
    assert scrub(text) == "*** *** german /home/eve"


def config(folder: Path, recording: str = "/srv/a.wav") -> Config:
    password, key = folder / "password", folder / "key.pem"
    cert = folder / "cert.pem"
    password.write_text("first secret\nsecond secret\n")
    lines = ("-----BEGIN PRIVATE KEY-----", "MIGHkeyline", "-----END PRIVATE KEY-----")
    key.write_text("\n".join(lines))
    cert.touch()
    return Config.model_validate(
        {
            "device": "press-07",
            "mqtt": {
                "host": "localhost",
                "username": "press-07",
                "password_file": str(password),
                "tls": {"cert": str(cert), "key": str(key)},
            },
            "sources": [{"name": "pump", "recording": recording}],
        }
    )


def test_the_files_of_a_configuration_are_hidden(tmp_path: Path) -> None:
    scrub = scrubber()
    scrub.learn_from(config(tmp_path, "rtsp://eve:p a/s@s@cam/a"))
    assert scrub("second secret, first secret") == "***, ***"
    assert scrub("xMIGHkeylinex") == "x***x"
    assert scrub("it was p a/s@s for eve:p a/s@s") == "it was *** for ***"
    assert scrub("device press-07") == "device press-07"


def test_files_that_cannot_be_read_hide_nothing(tmp_path: Path) -> None:
    made = config(tmp_path)
    (tmp_path / "password").unlink()
    (tmp_path / "key.pem").unlink()
    scrub = scrubber()
    scrub.learn_from(made)
    assert scrub("first secret") == "first secret"


def test_the_log_is_scrubbed_with_its_traces() -> None:
    scrub = scrubber()
    scrub.learn(["sesame"])
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ScrubbedLog(scrub))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError("no sesame here")
    except ValueError:
        logger.exception("for %s: password=%s", "sesame", "other")
    printed = stream.getvalue()
    assert "sesame" not in printed
    assert "other" not in printed
    assert "for ***: password=***" in printed
    assert "ValueError: no *** here" in printed
