"""What devices retain becomes a fleet; nothing that they write can do harm."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.manifest import parse
from asd_agent.update.desired import Desired, encode
from asd_export import table
from asd_export.device import Device
from asd_export.fleet import BATCH, Fleet
from support.bundles import forge
from support.messages import ALARM, INFO, STATE, hear, told


def test_every_message_of_a_device_is_understood(tmp_path: Path) -> None:
    fleet = Fleet("factory")
    raw = (forge(tmp_path / "b", id="pump-3", version=3) / "manifest.json").read_bytes()
    for levels, body in (
        ("status", b"online"),
        ("info", INFO),
        ("health", {"ts": "2026-01-01T12:30:00.000Z"}),
        ("bundle/state", STATE),
        ("bundle/desired", encode(Desired(raw, b"x" * 64))),
        ("gearbox/state", ALARM),
    ):
        assert hear(fleet, levels, body) == "press-07"
    found = fleet["press-07"]
    assert not fleet.unreadable
    assert found.online
    assert found.info
    assert found.info.groups == ("line-3",)
    assert str(found.running) == "old (1)"
    assert found.progress
    assert found.progress.percent == 33
    assert found.wish
    assert (found.wish.id, found.wish.version) == ("pump-3", 3)
    files = parse(raw).files.values()
    assert found.wish.members == {entry.sha256 for entry in files}
    assert found.alarms == 1
    assert fleet.events == {("press-07", "pump-3", "e-1")}
    assert found.seen
    assert found.seen.isoformat() == "2026-01-01T12:30:00+00:00"
    # Programs get all of it.
    row = table.as_json(found)
    assert row["desired"] == {"id": "pump-3", "version": 3}
    assert row["alarms"] == ["gearbox"]
    assert json.loads(json.dumps(row)) == row


def test_equal_wishes_are_held_once(tmp_path: Path) -> None:
    raw = (forge(tmp_path / "b") / "manifest.json").read_bytes()
    fleet = Fleet("factory")
    for name in ("a", "b"):
        fleet.hear(f"factory/{name}/bundle/desired", encode(Desired(raw, b"")))
    first, second = fleet["a"].wish, fleet["b"].wish
    assert first
    assert second
    assert first.body is second.body


def test_what_is_taken_back_is_gone() -> None:
    fleet = Fleet("factory")
    for levels, body in (("info", INFO), ("bundle/state", STATE), ("a/state", ALARM)):
        hear(fleet, levels, body)
    hear(fleet, "status", b"online")
    for levels in ("info", "bundle/state", "bundle/desired", "a/state", "status"):
        hear(fleet, levels, b"")
    found = fleet["press-07"]
    assert not found.known
    assert (found.info, found.progress, found.wish, found.alarms) == (None,) * 3 + (0,)
    # An alarm that was seen stays counted.
    assert fleet.events


def test_an_alarm_that_ends_stays_counted_and_counts_once() -> None:
    fleet = Fleet("factory")
    for state in (ALARM, ALARM, ALARM | {"state": "normal", "event_id": None}):
        hear(fleet, "gearbox/state", state)
    assert len(fleet.events) == 1
    assert fleet["press-07"].alarms == 0


@pytest.mark.parametrize(
    "topic",
    [
        "factory/press-07",
        "factory/Press 07/status",
        "factory/../status",
        "other/press-07/status",
        "factory/press-07/spectrum",
        "factory/press-07/health/state",
        "factory/press-07/a/b/state",
        "factory/press-07/UP/state",
    ],
)
def test_other_topics_are_nobodys(topic: str) -> None:
    fleet = Fleet("factory")
    assert fleet.hear(topic, b"online") is None
    assert not fleet.devices


def test_a_message_that_breaks_its_schema_is_left_out_and_told() -> None:
    fleet = Fleet("factory")
    hear(fleet, "info", INFO)
    for body in (b"{", b"[]", INFO | {"started": "2026-01-01T00:00:00"}):
        hear(fleet, "info", body)
        assert "factory/press-07/info" in fleet.unreadable
        assert fleet["press-07"].info
    hear(fleet, "info", INFO)
    assert not fleet.unreadable


LEVELS = ("status", "info", "health", "bundle/state", "bundle/desired", "a/state")
bodies = st.binary(max_size=80) | st.builds(
    lambda base, key, value: json.dumps(base | {key: value}).encode(),
    st.sampled_from([INFO, STATE, ALARM]),
    st.sampled_from(sorted({*INFO, *STATE, *ALARM})),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)


@given(st.lists(st.tuples(st.sampled_from(LEVELS), bodies), max_size=6))
def test_no_message_can_do_harm(messages: list[tuple[str, bytes]]) -> None:
    fleet = Fleet("factory")
    for levels, body in messages:
        hear(fleet, levels, body)
    device = fleet["press-07"]
    json.dumps(table.as_json(device))
    assert table.fleet_line(device).isprintable()
    assert device.phase("pump-3") in table.COLOURS
    percent = device.progress.percent if device.progress else None
    assert percent is None or percent <= 100


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    # Bytes that would clear a screen, and the mark-up of the table.
    device = told(detail="\x1b[2J\x07[red]x[/red]", reason="a\nb")
    assert device.progress
    assert device.progress.detail == " [2J [red]x[/red]"
    assert device.progress.reason == "a b"
    long = told(detail="x" * 5000)
    assert long.progress
    assert long.progress.detail == "x" * 200


@pytest.mark.parametrize(
    ("changes", "phase"),
    [
        ({}, "downloading"),
        ({"state": "rolled_back"}, "rolled_back"),
        ({"bundle": {"id": "other", "version": 1}}, "waiting"),
        ({"bundle": None}, "waiting"),
        # It was set up anew: the report is from its former life.
        ({"state": "committed"}, "waiting"),
    ],
)
def test_how_far_a_device_is(changes: dict[str, Any], phase: str) -> None:
    assert told(**changes).phase("pump-3") == phase


def test_a_device_that_runs_a_bundle_needs_no_report_of_it() -> None:
    assert told().phase("old") == "committed"
    assert Device("x").phase("old") == "unknown"
    assert Device("x", online=False).phase("old") == "waiting"
    fleet = Fleet("factory")
    hear(fleet, "bundle/state", STATE | {"state": "committed"})
    hear(fleet, "info", INFO | {"bundle": {"id": "pump-3", "version": 3}})
    assert fleet["press-07"].phase("pump-3") == "committed"


def test_a_stale_report_counts_for_nothing() -> None:
    device = told(state="rejected", reason="disk_full")
    stale = device.report("pump-3")
    assert device.phase("pump-3") == "rejected"
    assert device.phase("pump-3", stale) == "waiting"
    again = told(state="rejected", reason="disk_full", ts="2026-01-01T12:00:01.000Z")
    assert again.phase("pump-3", stale) == "rejected"


@pytest.mark.parametrize(
    ("state", "reason", "final"),
    [
        ("rolled_back", "crashed", True),
        ("rolled_back", "broken", False),
        ("rejected", "differs", True),
        ("rejected", "rejected_before", True),
        ("rejected", "disk_full", False),
        ("rejected", "untrusted", False),
        ("downloading", "unavailable", False),
    ],
)
def test_what_is_refused_for_good(state: str, reason: str, final: bool) -> None:
    assert told(state=state, reason=reason).refused_for_good("pump-3") is final


def test_per_cent_is_of_the_step() -> None:
    for changes, percent in (
        ({"state": "trial"}, 25),
        ({"state": "trial", "windows": 50}, 100),
        ({"state": "testing"}, None),
        ({"total_bytes": None}, None),
        ({"total_bytes": 0}, None),
    ):
        progress = told(**changes).progress
        assert progress
        assert progress.percent == percent


def test_devices_are_asked_about_in_portions() -> None:
    names = [f"d{i}" for i in range(2 * BATCH + 1)]
    fleet = Fleet("plant/north")
    portions = fleet.topics(names, wishes=True, health=True)
    assert [len(portion) for portion in portions] == [5 * BATCH, 5 * BATCH, 5]
    # Sources in a configuration: 16. mosquitto holds 1000 messages for a client.
    assert BATCH * (len(portions[2]) - 1 + 1 + 16) < 1000
    assert portions[2] == [
        f"plant/north/d{2 * BATCH}/{levels}"
        for levels in ("status", "info", "+/state", "bundle/desired", "health")
    ]
    assert [len(portion) for portion in fleet.topics(["a"])] == [3]
    assert fleet.everyone == "plant/north/+/status"
