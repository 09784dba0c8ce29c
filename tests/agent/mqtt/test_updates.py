"""What a device shall run, and how far it is, over a real broker."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from asd_agent.errors import BundleError
from asd_agent.mqtt import payloads
from asd_agent.mqtt.courier import Courier
from asd_agent.mqtt.inbox import DEAF_S, MAX_MEMBER_BYTES
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.mqtt.updates import Updates
from asd_agent.update.desired import MAX_DESIRED_BYTES, Desired, encode
from asd_agent.update.report import Report
from support.broker import Certificates, Mosquitto, Subscriber, wait_for
from support.decisions import ALARM, ORIGIN
from support.publishers import connected, plain, publishing, put
from support.staging import files, manifest_of

TOPICS = Topics("factory", "press-07")
DESIRED = "factory/press-07/bundle/desired"
STATE = "factory/press-07/bundle/state"
WISH = Desired(manifest_of(files()), bytes(64), "https://files.example/a", "pump-a", 3)
REPORT = Report("pump-a", 3, "downloading", "fetch", total=100)
DOCS = Path(__file__).parents[3] / "docs" / "mqtt"
BOTH = pytest.mark.parametrize("protocol", [5, 4])


@dataclass
class Heard:
    """What the callbacks were given."""

    wishes: list[Desired] = field(default_factory=list)
    errors: list[BundleError] = field(default_factory=list)


@contextmanager
def updating(publisher: Publisher, heard: Heard, **parts: Any) -> Iterator[Updates]:
    updates = Updates(
        publisher,
        TOPICS,
        **{
            "on_desired": heard.wishes.append,
            "on_unreadable": heard.errors.append,
            "running": lambda: ("default-3", 1),
            "clock_synced": lambda: True,
            **parts,
        },
    )
    updates.start()
    try:
        yield updates
    finally:
        updates.close()


def speak(protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make publishers speak that protocol alone."""
    monkeypatch.setattr(Courier, "_connect", lambda self: self._open(protocol))


@pytest.mark.broker
@BOTH
def test_a_wish_is_heard_live_and_after_a_time_away(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak(protocol, monkeypatch)
    heard = Heard()
    with Mosquitto(tmp_path) as broker:
        put(broker.port, DESIRED, encode(WISH))  # the device is off
        with publishing(plain(broker.port)) as publisher, updating(publisher, heard):
            wait_for(lambda: heard.wishes == [WISH], "the wish that was retained")
            other = replace(WISH, base_url=None)
            put(broker.port, DESIRED, encode(other))
            wait_for(lambda: heard.wishes == [WISH, other], "a wish while it is on")
    assert heard.errors == []


@pytest.mark.broker
def test_a_wish_is_told_again_when_the_broker_returns(tmp_path: Path) -> None:
    heard, broker = Heard(), Mosquitto(tmp_path)
    with publishing(plain(broker.port)) as publisher, updating(publisher, heard):
        for count in (1, 2):
            with broker:
                put(broker.port, DESIRED, encode(WISH))
                wait_for(lambda: len(heard.wishes) >= count, f"{count} times")  # noqa: B023
            wait_for(lambda: not publisher.connected, "the broker is away")
    assert set(heard.wishes) == {WISH}


@pytest.mark.broker
def test_an_empty_message_is_no_wish(tmp_path: Path) -> None:
    heard = Heard()
    with (
        Mosquitto(tmp_path) as broker,
        publishing(plain(broker.port)) as publisher,
        updating(publisher, heard),
    ):
        put(broker.port, DESIRED, b"")
        put(broker.port, DESIRED, encode(WISH))
        wait_for(lambda: heard.wishes == [WISH], "the wish")
        put(broker.port, DESIRED, b"")
        put(broker.port, DESIRED, b"{}")
        wait_for(lambda: len(heard.errors) == 1, "what came after it")
    assert heard.wishes == [WISH]


@pytest.mark.broker
@pytest.mark.parametrize(
    "body", [b"x", b"\xff\xfe", b"{}", b"[" * 100_000, b'{"id": 1}', bytes(2_000_000)]
)
def test_a_message_without_a_wish_is_told_and_survived(
    body: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    with (
        Mosquitto(tmp_path) as broker,
        publishing(plain(broker.port)) as publisher,
        updating(publisher, heard),
    ):
        put(broker.port, DESIRED, body)
        wait_for(lambda: len(heard.errors) == 1, "refusal")
        put(broker.port, DESIRED, encode(WISH))
        wait_for(lambda: heard.wishes == [WISH], "the next wish")
    assert heard.errors[0].reason == "malformed"
    assert f"{DESIRED}: the message is not one of asd-export push" in caplog.text


@pytest.mark.broker
def test_a_callback_that_fails_does_not_make_deaf(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Desired] = []

    def fail_first(wish: Desired) -> None:
        heard.append(wish)
        if len(heard) == 1:
            raise RuntimeError("a bug")

    with (
        Mosquitto(tmp_path) as broker,
        publishing(plain(broker.port)) as publisher,
        updating(publisher, Heard(), on_desired=fail_first),
    ):
        for count in (1, 2):
            put(broker.port, DESIRED, encode(WISH))
            wait_for(lambda: len(heard) == count, f"{count} heard")  # noqa: B023
    assert "a bug" in caplog.text


@pytest.mark.broker
@BOTH
def test_a_wish_that_is_too_long_stops_reading_and_nothing_else(
    protocol: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An oversize message that is retained must not cost a connection a minute."""
    speak(protocol, monkeypatch)
    caplog.set_level(logging.INFO, "asd_agent")
    heard, later_s = Heard(), 0.0
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port, "factory/press-07/anomaly", protocol=protocol) as seen,
    ):
        put(broker.port, DESIRED, bytes(MAX_DESIRED_BYTES + 1_000_000))
        config = plain(broker.port, keepalive_s=5)
        with (
            publishing(config, clock=lambda: time.monotonic() + later_s) as publisher,
            updating(publisher, heard),
        ):
            wait_for(lambda: publisher.inbox.oversize == 1, "refusal")
            connected(publisher)
            publisher.decision("gearbox", payloads.anomaly(ALARM, ORIGIN), changed=True)
            seen.wait("factory/press-07/anomaly")
            put(broker.port, DESIRED, encode(WISH))
            assert publisher.connected
            assert heard.wishes == []
            later_s = DEAF_S
            publisher.health({})  # rings
            wait_for(lambda: heard.wishes == [WISH], "hears again")
    assert publisher.inbox.oversize == 1
    assert caplog.text.count("is not read") == 1


@pytest.mark.broker
def test_a_broker_of_mqtt_5_keeps_to_itself_what_is_too_long(tmp_path: Path) -> None:
    heard = Heard()
    with (
        Mosquitto(tmp_path) as broker,
        publishing(plain(broker.port)) as publisher,
        updating(publisher, heard),
    ):
        connected(publisher)
        put(broker.port, DESIRED, bytes(MAX_MEMBER_BYTES + 1_000_000))
        put(broker.port, DESIRED, encode(WISH))
        wait_for(lambda: heard.wishes == [WISH], "the wish after it")
        assert publisher.inbox.oversize == 0


@pytest.mark.broker
def test_wishes_come_by_tls(tmp_path: Path) -> None:
    made, heard = Certificates.make(tmp_path / "tls"), Heard()
    with Mosquitto(tmp_path, tls=made) as broker:
        config = plain(broker.port, host="localhost", tls={"ca": made.ca})
        with publishing(config) as publisher, updating(publisher, heard):
            connected(publisher)
            put(broker.port, DESIRED, encode(WISH), ca=made.ca)
            wait_for(lambda: heard.wishes == [WISH], "the wish")


@pytest.mark.broker
def test_reports_are_retained_and_told_again(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path)
    with (
        publishing(plain(broker.port)) as publisher,
        updating(publisher, Heard()) as updates,
    ):
        for _ in range(2):  # the broker kept nothing: the second is the agent's
            with broker:
                updates.tell(REPORT)
                with Subscriber(broker.port, STATE) as seen:
                    (message,) = seen.wait(STATE)
                wait_for(lambda: publisher.connected, "connected")
            wait_for(lambda: not publisher.connected, "the broker is away")
    assert message.qos == 1
    payload = message.json()
    schema = json.loads((DOCS / "bundle_state.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(payload)
    assert payload["state"] == "downloading"
    assert payload["running"] == {"id": "default-3", "version": 1}


def test_mere_progress_is_told_once_a_second() -> None:
    told: list[dict[str, Any]] = []
    time_s = 0.0
    publisher = Publisher(plain(1), "press-07", {})
    publisher.tell = lambda topic, payload: told.append(dict(payload))  # type: ignore[method-assign]
    updates = Updates(
        publisher,
        TOPICS,
        on_desired=lambda wish: None,
        on_unreadable=lambda error: None,
        running=lambda: ("default-3", 1),
        clock_synced=lambda: True,
        clock=lambda: time_s,
    )
    for step in range(26):
        time_s = step / 10
        updates.tell(replace(REPORT, bytes=step))
    assert [payload["bytes"] for payload in told] == [0, 10, 20]
    updates.tell(replace(REPORT, bytes=26, detail="waits for model.onnx"))
    updates.tell(replace(REPORT, bytes=26, state="verifying", step="verify"))
    assert [payload["state"] for payload in told[3:]] == ["downloading", "verifying"]
    publisher.close()
