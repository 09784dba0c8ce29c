"""The published payloads against docs/mqtt: field names are frozen there."""

import base64
import json
import re
import zlib
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.health.heat import Throttling
from asd_agent.health.snapshot import Snapshot, SourceSnapshot
from asd_agent.health.system import Room, System
from asd_agent.ledger import DayCoverage
from asd_agent.mqtt import condition, payloads
from asd_agent.mqtt.topics import Topics
from asd_agent.scoring.decision import State
from asd_agent.update.desired import Desired, decode, encode
from asd_agent.update.report import Report, Step
from asd_agent.update.report import State as UpdateState
from support.decisions import ALARM, BY_STATE, NORMAL, ORIGIN, SPECTRUM
from support.staging import files, manifest_of

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
    device_class="pi-4",
    groups=["line-3"],
    sources=[payloads.SourceInfo("gearbox", "microphone", 16_000)],
)
SNAPSHOT = Snapshot(
    version="0.1.0",
    uptime_s=3600.25,
    sources=(
        SourceSnapshot(
            "gearbox",
            "normal",
            level_dbfs=-31.27,
            sound_age_s=0.31,
            step_s=0.0125,
            hop_s=0.512,
            load=0.041,
            windows=782,
            windows_dropped=0,
            lost_samples=0,
            overflows=0,
            capture_restarts=1,
        ),
        SourceSnapshot(
            "pump",
            "fault",
            "lost",
            hop_s=0.512,
            windows=0,
            windows_dropped=0,
            lost_samples=0,
            overflows=0,
            capture_restarts=0,
        ),
    ),
    system=System(
        cpu_temperature_c=61.3,
        throttling=Throttling(now=(), since_boot=("under_voltage",)),
        disk=Room(11_000_000_000, 31_000_000_000, writable=True),
        rss_bytes=80_000_000,
        children_rss_bytes=38_000_000,
        clock_synced=True,
        uptime_s=90_000.0,
        load_1min=0.25,
        cpu_count=4,
    ),
    connected=True,
    connections=0,
    messages_waiting=2,
    messages_dropped=0,
    messages_refused=0,
    messages_undurable=0,
    messages_unheard=0,
    taken_over=0,
    clips_written=3,
    clips_dropped=0,
    clips_bytes=1_000_000,
)
HEALTH = condition.health("press-07", ORIGIN.boot_id, NOW, SNAPSHOT)
COVERAGE = condition.coverage(
    "press-07",
    "gearbox",
    NOW,
    [
        DayCoverage(
            date(2026, 11, 20),
            "gearbox",
            scored_s=85_486.2,
            learnt_s=900.0,
            suspect_s=0.0,
            silent_s=0.0,
            gap_s=13.8,
            reasons={"cut": 1.5, "lost": 12.3},
        ),
        DayCoverage(
            date(2026, 11, 21),
            "gearbox",
            43_180.0,
            0.0,
            0.0,
            20.0,
            0.0,
            {"stuck": 20.0},
        ),
    ],
)
REPORT = Report(
    id="pump-a",
    version=4,
    state="trial",
    step="trial",
    bytes=1_840_332,
    total=1_840_332,
    windows=7,
    needed=20,
)
BUNDLE_STATE = payloads.bundle_state(
    REPORT, "press-07", now=NOW, running=("pump-a", 4), clock_synced=True
)
MANIFEST = b'{"schema_version": 1, ...}'
SIGNATURE = bytes(range(64))
DESIRED = {
    "v": 1,
    "id": "pump-a",
    "version": 4,
    "manifest": base64.b64encode(zlib.compress(MANIFEST)).decode(),
    "signature": base64.b64encode(SIGNATURE).decode(),
    "base_url": None,
}
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
    "reason",
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
        "reason",
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
        "device_class",
        "groups",
        "bundle",
        "sources",
    ],
    "health": [
        "v",
        "device",
        "boot_id",
        "ts",
        "uptime_s",
        "degraded",
        "messages_waiting",
        "messages_dropped",
        "messages_refused",
        "messages_undurable",
        "messages_unheard",
        "connections",
        "taken_over",
        "clips_written",
        "clips_dropped",
        "clock_synced",
        "rss_bytes",
        "children_rss_bytes",
        "cpu_temperature_c",
        "load_1min",
        "throttling",
        "disk_free_bytes",
        "disk_writable",
        "sources",
    ],
    "coverage": ["v", "device", "source", "ts", "days"],
    "bundle_state": [
        "v",
        "device",
        "ts",
        "state",
        "step",
        "reason",
        "detail",
        "bundle",
        "running",
        "bytes",
        "total_bytes",
        "windows",
        "windows_needed",
        "clock_synced",
    ],
    "bundle_desired": ["v", "id", "version", "manifest", "signature", "base_url"],
    "spectrum": ["v", "device", "source", "ts", "lo_hz", "hi_hz", "level_db"],
}
OPTIONAL = {
    "anomaly": ALARM_FIELDS,
    "bundle_desired": ["v", "signature", "base_url"],
}
REASONS = [
    "unsigned",
    "untrusted",
    "malformed",
    "device_class",
    "not_newer",
    "rejected_before",
    "too_large",
    "changed",
    "missing_file",
    "extra_file",
    "not_plain",
    "unavailable",
    "differs",
    "no_runtime",
    "crashed",
    "hung",
    "not_finite",
    "identical",
    "too_slow",
    "error",
    "disk_full",
    "nothing_kept",
    "pinned",
    "broken",
    "starts",
    "by_hand",
]


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
    optional = OPTIONAL.get(name, [])
    assert contract["required"] == [f for f in FIELDS[name] if f not in optional]


def test_the_page_explains_every_reason() -> None:
    page = (DOCS / "mqtt.md").read_text()
    words = schema("anomaly")["properties"]["reason"]["enum"]
    assert words == schema("state")["properties"]["reason"]["enum"]
    for word in filter(None, words):
        assert re.search(rf"^\| `{word}` \|", page, re.M), word


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
    valid("coverage", COVERAGE)
    unknown = replace(SNAPSHOT, system=None, messages_waiting=None, sources=())
    valid("health", condition.health("a", ORIGIN.boot_id, NOW, unknown))
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


@pytest.mark.parametrize("state", get_args(UpdateState))
@pytest.mark.parametrize("reason", [None, *REASONS])
def test_a_report_of_every_state_and_reason_is_valid(
    state: Any, reason: str | None
) -> None:
    report = replace(REPORT, state=state, reason=reason, detail="model.onnx: changed")
    payload = bundle_state(report)
    valid("bundle_state", payload)
    assert list(payload) == FIELDS["bundle_state"]


def bundle_state(report: Report) -> Any:
    payload = payloads.bundle_state(
        report, "press-07", now=NOW, running=("default-3", 1), clock_synced=False
    )
    return json.loads(payloads.encode(payload))


def test_states_steps_and_reasons_are_those_of_the_schema() -> None:
    properties = schema("bundle_state")["properties"]
    assert properties["state"]["enum"] == list(get_args(UpdateState))
    assert properties["step"]["enum"] == list(get_args(Step))
    assert properties["reason"]["enum"] == [*REASONS, None]


def test_what_is_not_known_of_an_update_is_null() -> None:
    unknown = Report("", 0, "rejected", "verify", reason="malformed")
    payload = bundle_state(unknown)
    valid("bundle_state", payload)
    assert (payload["bundle"], payload["total_bytes"]) == (None, None)


@given(st.text() | st.from_regex(r"[/~.@:\\\[\]a-z0-9 ]{0,40}", fullmatch=True))
def test_no_detail_breaks_the_contract(detail: str) -> None:
    valid("bundle_state", bundle_state(replace(REPORT, detail=detail)))


@pytest.mark.parametrize(
    "change",
    [
        {"detail": "/var/lib/asd/bundles is full"},
        {"detail": "https://user:word@files.example"},
        {"reason": "because"},
        {"state": "installed"},
        {"path": "/var/lib/asd"},
        {"bytes": -1},
    ],
)
def test_the_schema_refuses_a_report_that_is_wrong(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid("bundle_state", BUNDLE_STATE | change)


def test_a_wish_is_what_the_push_writes() -> None:
    manifest = manifest_of(files())
    for signature, base_url in ((SIGNATURE, None), (b"", "https://files.example/a")):
        wish = Desired(manifest, signature, base_url)
        payload = json.loads(encode(wish))
        valid("bundle_desired", payload)
        assert list(payload) == FIELDS["bundle_desired"]
        assert zlib.decompress(base64.b64decode(payload["manifest"])) == manifest
    read = decode(json.dumps(DESIRED).encode())
    assert read == Desired(MANIFEST, SIGNATURE, None, "pump-a", 4)


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "https://user:word@files.example/a"},
        {"base_url": "https://files.example/a?token=word"},
        {"base_url": "ftp://files.example/a"},
        {"manifest": "not base64!"},
        {"version": 0},
        {"id": "../a"},
    ],
)
def test_the_schema_refuses_a_wish_that_is_wrong(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid("bundle_desired", DESIRED | change)


def test_the_page_shows_what_is_really_sent() -> None:
    page = (DOCS / "mqtt.md").read_text()
    shown = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.S)
    ]
    alarm = payloads.anomaly(ALARM, ORIGIN) | {"seq": 4182}
    spectrum = payloads.spectrum(replace(NORMAL, spectrum=SPECTRUM), ORIGIN)
    published = [alarm, payloads.state(alarm), INFO, HEALTH, COVERAGE, spectrum]
    assert shown == [*published, DESIRED, BUNDLE_STATE]


def test_the_page_names_every_topic() -> None:
    page = (DOCS / "mqtt.md").read_text()
    topics = Topics("<root>", "<device>")
    names = [topics.anomaly, topics.status, topics.info, topics.health]
    names += [topics.bundle_desired, topics.bundle_state, topics.member("<sha256>")]
    source = "<source>"
    names += [topics.state(source), topics.spectrum(source), topics.coverage(source)]
    for topic in names:
        assert f"`{topic}`" in page


def test_the_access_rules_of_the_page_are_those_that_ship() -> None:
    page = (DOCS / "mqtt.md").read_text()
    shown = {line.strip() for line in re.findall(r"^ *pattern .*", page, re.M)}
    shipped = (DOCS.parent / "deploy" / "mosquitto" / "acl").read_text().splitlines()
    assert len(shown) > 5
    assert shown <= set(shipped)
