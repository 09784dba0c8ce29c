"""Counts of a rollout: what a rule sees, and when a wave is through."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from asd_export.device import Device
from asd_export.fleet import Fleet
from asd_export.tally import AWAY_S, Tally
from support.messages import told

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
"""When the reports of `told` are from"""


class Plant:
    """A fleet, a tally and a clock that a test turns."""

    def __init__(self) -> None:
        self.fleet = Fleet("factory")
        self.now_s = 0.0
        self.tally = Tally(
            self.fleet,
            "pump-3",
            clock=lambda: self.now_s,
            now=lambda: NOON + timedelta(seconds=self.now_s),
        )

    def put(self, name: str, *, online: bool = True, **changes: Any) -> None:
        device = told(**changes)
        if changes.get("state") in {"committed", "trial"}:
            assert device.info
            assert device.progress
            new = device.progress.bundle
            info = device.info.model_copy(update={"bundle": new})
            device = replace(device, info=info)
        self.fleet.devices[name] = replace(device, name=name, online=online)

    def ask(self, *names: str, anew: bool = False) -> None:
        for name in names:
            self.tally.ask(name, anew=anew)


@pytest.fixture
def plant() -> Plant:
    return Plant()


def test_states_are_counted(plant: Plant) -> None:
    for i, state in enumerate(
        ("committed", "committed", "rejected", "rolled_back", "trial")
    ):
        plant.put(f"d{i}", state=state)
        plant.ask(f"d{i}")
    plant.put("not asked", state="rolled_back")
    counts = plant.tally.counts()
    assert counts == {
        "rolled_back": 1,
        "rejected": 1,
        "committed": 2,
        "alarms": 0,
        "offline": 0,
    }
    assert not plant.tally.settled(plant.tally.names)
    assert plant.tally.settled(["d0", "d2", "d3"])
    assert plant.tally.committed(["d0", "d1"])
    assert not plant.tally.committed(["d0", "d2"])


def test_a_report_of_before_is_not_counted(plant: Plant) -> None:
    plant.put("a", state="rejected", reason="disk_full")
    plant.ask("a", anew=True)
    assert plant.tally.phase("a") == "waiting"
    assert plant.tally.report("a") is None
    assert plant.tally.counts()["rejected"] == 0
    plant.put("a", state="downloading", ts="2026-01-01T12:01:00.000Z")
    assert plant.tally.phase("a") == "downloading"


def test_alarms_are_those_of_the_bundle_on_devices_that_were_asked(
    plant: Plant,
) -> None:
    plant.ask("a", "b")
    plant.fleet.events |= {
        ("a", "pump-3", "e1"),
        ("a", "pump-3", "e2"),
        ("b", "pump-3", "e1"),
        ("a", "old", "e0"),
        ("c", "pump-3", "e1"),
    }
    assert plant.tally.counts()["alarms"] == 3


def test_offline_is_who_began_and_stays_away(plant: Plant) -> None:
    plant.fleet.devices["off"] = Device("off", online=False)
    plant.put("here")
    plant.put("gone", online=False)
    plant.ask("off", "here", "gone")
    assert plant.tally.counts()["offline"] == 0
    plant.now_s = AWAY_S - 1
    assert plant.tally.counts()["offline"] == 0
    plant.now_s = AWAY_S
    assert plant.tally.counts()["offline"] == 1
    plant.put("gone")
    assert plant.tally.counts()["offline"] == 0
    plant.put("gone", online=False)
    assert plant.tally.counts()["offline"] == 0


def test_calm_begins_with_the_last_commit(plant: Plant) -> None:
    plant.now_s = 3600
    plant.put("a", state="committed")
    plant.put("b", state="committed", ts="2026-01-01T12:30:00.000Z")
    plant.put("c", state="rejected")
    plant.ask("a", "b", "c")
    assert plant.tally.calm_since(["c"]) is None
    assert plant.tally.calm_since(["a", "c"]) == NOON
    assert plant.tally.calm_since(["a", "b"]) == NOON + timedelta(minutes=30)


@pytest.mark.parametrize(
    "changes",
    [{"clock_synced": False}, {"ts": "2027-01-01T00:00:00.000Z"}],
    ids=["not set by a server", "in the future"],
)
def test_a_clock_that_cannot_be_believed_is_not(
    plant: Plant, changes: dict[str, Any]
) -> None:
    plant.put("a", state="committed", **changes)
    plant.ask("a")
    plant.now_s = 10
    seen = NOON + timedelta(seconds=10)
    assert plant.tally.calm_since(["a"]) == seen
    # It counts from when it was seen first, not from now on and on.
    plant.now_s = 500
    assert plant.tally.calm_since(["a"]) == seen


def test_a_device_that_ran_it_before_was_calm_for_ever(plant: Plant) -> None:
    plant.put("a", bundle=None)
    info = plant.fleet["a"].info
    assert info
    bundle = info.bundle.model_copy(update={"id": "pump-3"})
    ran = info.model_copy(update={"bundle": bundle})
    plant.fleet.devices["a"] = replace(plant.fleet["a"], info=ran)
    plant.ask("a")
    since = plant.tally.calm_since(["a"])
    assert since
    assert (NOON - since) > timedelta(days=366)
