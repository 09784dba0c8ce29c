"""Nobody is spoken to who does not show who it is, and no password is shown."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_agent import cli
from asd_agent.config import MqttConfig
from faults.transport import Outcome, attempt, listening, payloads
from faults.transport_rows import PASSWORD, ROWS, Row, Site
from faults.transport_web import WEB_ROWS, WebRow, fetch
from support.agents import agent
from support.broker import wait_for
from support.publishers import publishing

RIGHT = ROWS[0]
pytestmark = [
    pytest.mark.broker,
    # paho leaves a socket to the garbage collector when the handshake fails.
    pytest.mark.filterwarnings(
        "ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_broker_is_spoken_to_or_not(row: Row, site: Site, tmp_path: Path) -> None:
    found = attempt(row, site, tmp_path)
    assert not found.wrong(row, site.secrets)


def test_no_payload_shows_a_password(site: Site, tmp_path: Path) -> None:
    assert attempt(RIGHT, site, tmp_path).connected
    kept = payloads(site)
    assert "factory/press-07/status" in kept
    assert not [secret for secret in site.secrets if secret in kept]


def test_a_password_file_that_turns_bad_later_is_told(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread of the connection reads it each time: it must not stick there."""
    keys = RIGHT.keys(site, tmp_path)
    (tmp_path / "password").unlink()
    os.mkfifo(tmp_path / "password")
    # Not the check before the start, but that of every connection.
    monkeypatch.setattr("asd_agent.mqtt.publisher.password", lambda config: None)
    with (
        listening() as ear,
        publishing(MqttConfig.model_validate(keys)) as publisher,
    ):
        wait_for(lambda: "not a plain file" in "\n".join(ear.lines), "why not")
        (tmp_path / "password").unlink()
        (tmp_path / "password").write_text(PASSWORD)
        wait_for(lambda: publisher.connected, "the mended one")
    assert PASSWORD not in "\n".join(ear.lines)
    assert not [t for t in threading.enumerate() if t.name == "mqtt"]


def test_the_check_shows_no_password(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = agent(tmp_path)
    (tmp_path / "secret").write_text(PASSWORD)
    with made.file.open("a") as file:
        file.write(
            f"mqtt: {{host: localhost, port: {site.ports['good']}, username: press-07, "
            f"password_file: {tmp_path}/secret, tls: {{ca: {site.authority.ca}}}}}\n"
        )
    with listening() as ear:
        assert cli.main(["--verbose", "check", "--config", str(made.file)]) == 0
    told = capsys.readouterr()
    assert "secrets can be read" in told.out
    assert PASSWORD not in told.out + told.err + "\n".join(ear.lines)


@pytest.mark.parametrize("row", WEB_ROWS, ids=lambda row: row.name)
def test_a_web_server_is_believed_or_not(row: WebRow, tmp_path: Path) -> None:
    taken, text = fetch(row, tmp_path)
    assert (taken, row.says in text) == (row.taken, True), text
    assert "hunter2" not in text


def test_the_table_sees_what_is_wrong() -> None:
    secret = ("hunter2",)
    good = Outcome(True, "connected to it", "")
    assert not good.wrong(RIGHT, secret)
    assert Outcome(False, "connected to it", "").wrong(RIGHT, secret)
    assert Outcome(True, "something else", "").wrong(RIGHT, secret)
    assert "shows" in Outcome(True, "connected to hunter2", "").wrong(RIGHT, secret)
    bug = Outcome(True, "connected to it\nTraceback (most recent call last)", "")
    assert "exception" in bug.wrong(RIGHT, secret)
