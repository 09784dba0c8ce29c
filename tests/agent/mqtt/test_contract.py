"""The published payloads against docs/mqtt: field names are frozen there."""

import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from asd_agent.mqtt import payloads
from asd_agent.mqtt.topics import Topics
from asd_agent.scoring.decision import State
from support.decisions import ALARM, BY_STATE, NORMAL, ORIGIN, SPECTRUM

DOCS = Path(__file__).parents[3] / "docs"
NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
INFO = payloads.info(
    "press-07",
    ORIGIN.boot_id,
    version="0.1.0",
    started=NOW,
    bundle_id="pump-a",
    bundle_version=3,
    runtime="onnxruntime 1.20.1",
    sources=[payloads.SourceInfo("gearbox", "microphone", 16_000)],
)
HEALTH = payloads.health(
    "press-07",
    ORIGIN.boot_id,
    now=NOW,
    uptime_s=3600.25,
    clock_synced=True,
    rss_bytes=80_000_000,
    dropped=0,
    waiting=2,
    sources=[
        payloads.SourceHealth("gearbox", "normal", 0.31, 7000, 0, 12.5),
        payloads.SourceHealth("pump", "learning", None, 0, 0, None),
    ],
)
ANOMALY_FIELDS = [
    "v",
    "device",
    "source",
    "seq",
    "boot_id",
    "ts",
    "window_s",
    "score",
    "threshold",
    "p_value",
    "state",
    "event_id",
    "level_dbfs",
    "gap",
    "clock_synced",
    "replayed",
    "bundle",
]
ALARM_FIELDS = ["since", "score_max", "bands", "nearest_normal", "clip"]
FIELDS = {
    "anomaly": ANOMALY_FIELDS + ALARM_FIELDS,
    "state": [
        "v",
        "device",
        "source",
        "boot_id",
        "ts",
        "state",
        "event_id",
        "score",
        "threshold",
        "p_value",
        "clock_synced",
        "bundle",
    ],
    "info": [
        "v",
        "device",
        "boot_id",
        "started",
        "agent",
        "runtime",
        "bundle",
        "sources",
    ],
    "health": [
        "v",
        "device",
        "boot_id",
        "ts",
        "uptime_s",
        "clock_synced",
        "rss_bytes",
        "messages_dropped",
        "messages_waiting",
        "sources",
    ],
    "spectrum": ["v", "device", "source", "ts", "lo_hz", "hi_hz", "level_db"],
}


def schema(name: str) -> Any:
    return json.loads((DOCS / "mqtt" / f"{name}.schema.json").read_text())


def valid(name: str, payload: Any) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(payload)


def sent(state: State) -> payloads.Payload:
    """An anomaly payload as the publisher sends it."""
    return payloads.anomaly(BY_STATE[state], ORIGIN) | {"seq": 1}


@pytest.mark.parametrize("name", [*FIELDS, "status"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", FIELDS)
def test_field_names_are_frozen(name: str) -> None:
    contract = schema(name)
    assert list(contract["properties"]) == FIELDS[name]
    assert contract["additionalProperties"] is False
    optional = ALARM_FIELDS if name == "anomaly" else []
    assert contract["required"] == [f for f in FIELDS[name] if f not in optional]


def test_every_state_is_in_the_schema() -> None:
    words = [state.value for state in State]
    assert schema("anomaly")["properties"]["state"]["enum"] == words
    assert schema("state")["properties"]["state"]["enum"] == words
    assert set(BY_STATE) == set(State)


@pytest.mark.parametrize("state", State)
def test_a_decision_of_every_state_is_valid(state: State) -> None:
    payload = json.loads(payloads.encode(sent(state)))
    valid("anomaly", payload)
    valid("state", payloads.state(payload))
    alarm = ALARM_FIELDS if state is State.ANOMALOUS else []
    assert list(payload) == ANOMALY_FIELDS + alarm


def test_the_other_payloads_are_valid() -> None:
    valid("info", INFO)
    valid("health", HEALTH)
    valid("spectrum", payloads.spectrum(replace(NORMAL, spectrum=SPECTRUM), ORIGIN))
    valid("status", payloads.ONLINE)
    valid("status", payloads.OFFLINE)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/var/lib/asd"},
        {"seq": 0},
        {"ts": "2026-11-21 12:00:00"},
        {"state": "broken"},
        {"p_value": 1.5},
        {"event_id": "5f0c1e9a-gearbox-1"},
        {"since": "2026-11-21T12:00:00.000Z"},
    ],
)
def test_the_schema_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid("anomaly", sent(State.NORMAL) | change)


@pytest.mark.parametrize("field", [*ALARM_FIELDS, "event_id"])
def test_an_alarm_must_say_why(field: str) -> None:
    payload = sent(State.ANOMALOUS)
    del payload[field]
    with pytest.raises(jsonschema.ValidationError):
        valid("anomaly", payload)


def test_the_page_shows_what_is_really_sent() -> None:
    page = (DOCS / "mqtt.md").read_text()
    shown = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.S)
    ]
    alarm = payloads.anomaly(ALARM, ORIGIN) | {"seq": 4182}
    spectrum = payloads.spectrum(replace(NORMAL, spectrum=SPECTRUM), ORIGIN)
    assert shown == [alarm, payloads.state(alarm), INFO, HEALTH, spectrum]


def test_the_page_names_every_topic() -> None:
    page = (DOCS / "mqtt.md").read_text()
    topics = Topics("<root>", "<device>")
    names = [topics.anomaly, topics.status, topics.info, topics.health]
    for topic in (*names, topics.state("<source>"), topics.spectrum("<source>")):
        assert f"`{topic}`" in page
