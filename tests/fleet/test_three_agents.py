"""Three real agents, the shipped broker with TLS and access rules, the real exporter.

Any order of the tests will do: each pushes bundles that are newer than all before.
"""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asd_agent.mqtt.topics import Topics
from asd_agent.update.desired import encode
from fleet.bundles import Maker
from fleet.plant import WINDOW_S, Plant
from fleet.watcher import gap_s, in_row
from support.broker import Received
from support.bundles import MODEL
from support.close_client import NOT_AUTHORIZED
from support.updates import desired_of

pytestmark = pytest.mark.broker

A, B, C = Plant.names
STOPPED = 13
"""Exit code of a push that was withdrawn"""
WAVES = ("--canary", "1", "--after", "2s", "--abort-if", "rolled_back>0 or rejected>0")
STATES = ("verifying", "downloading", "verifying", "testing", "trial", "committed")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("plant"))
    try:
        plant.open()
        yield plant
    finally:
        plant.close()


@pytest.fixture
def plant(shared: Plant) -> Plant:
    """The plant, with every agent running."""
    shared.start()
    return shared


def test_a_good_bundle_reaches_all_the_canary_first(plant: Plant) -> None:
    watcher, since = plant.watcher, plant.watcher.count
    old = {name: plant.running(name) for name in plant.names}
    bundle = plant.bundle()
    done = plant.push(bundle, "--all", *WAVES, "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in plant.names:
        plant.wait_decisions(name, 3)
        states = plant.states(name, bundle, since)
        assert set(states) >= {"testing", "trial", "committed"}
        assert is_part(states, STATES)
        assert plant[name].store.read().current == bundle.name
        # Each was learnt again, from the sound that the first learning kept.
        assert f"bundle {bundle.name} learns it again" in plant[name].log.read_text()
        decisions = watcher.decisions(plant[name], since)
        assert in_row(decisions)
        assert gap_s(decisions) == 0
        bundles = [decision["bundle"]["id"] for decision in decisions]
        assert list(dict.fromkeys(bundles)) == [old[name], bundle.name]
    canary = canary_of(done.stdout)
    asked = {name: plant.asked(name, since)[0] for name in plant.names}
    rest = {asked[name] for name in plant.names if name != canary}
    assert asked[canary] < plant.committed(canary, bundle, since) < min(rest)
    listed = plant.listed()
    assert {device["running"]["id"] for device in listed.values()} == {bundle.name}
    assert {device["state"] for device in listed.values()} == {"committed"}


@pytest.mark.parametrize(
    ("make", "state", "reason"),
    [(Maker.deaf, "rolled_back", "identical"), (Maker.wrong, "rejected", "differs")],
    ids=["trial", "self-test"],
)
def test_a_bad_bundle_stops_at_the_canary(
    plant: Plant, make: Callable[[Maker], Path], state: str, reason: str
) -> None:
    watcher, since = plant.watcher, plant.watcher.count
    bundle = plant.bundle(make)
    done = plant.push(bundle, "--all", *WAVES, "--wait")
    assert done.returncode == STOPPED, done.stdout + done.stderr
    canary = canary_of(done.stdout)
    old = plant.running(canary)
    told = plant.reports(canary, bundle, since)[-1]
    assert (told["state"], told["reason"]) == (state, reason)
    assert told["running"]["id"] == old
    assert plant[canary].store.read().rejected[bundle.name] == reason
    for name in plant.names:
        # The others were not even asked, and went on.
        assert bool(plant.asked(name, since)) is (name == canary)
        plant.wait_decisions(name, 12)
        decisions = watcher.decisions(plant[name], since)
        assert in_row(decisions)
        used = list(dict.fromkeys(decision["bundle"]["id"] for decision in decisions))
        tried = [bundle.name] if name == canary and state == "rolled_back" else []
        assert used == [plant.running(name), *tried]
        assert decisions[-1]["bundle"]["id"] == plant.running(name) != bundle.name
        # What went back had missed sound, and began with a new window.
        assert gap_s(decisions) <= (WINDOW_S if tried else 0)
    # What was wished is taken back: the next start does not try it again.
    bodies = [m.body for m in watcher.messages if is_wish(m, canary)]
    assert bodies[-1] == b""


def test_a_device_that_was_off_catches_up(plant: Plant) -> None:
    plant[C].stop()
    since, old = plant.watcher.count, plant.running(C)
    bundle = plant.bundle()
    done = plant.push(bundle, "--group", "fans")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"asked {C} to run {bundle.name}" in done.stdout
    assert plant.running(C) == old
    plant[C].start()
    plant.wait_state(C, bundle, "committed", since)
    plant.wait_running(C, bundle)
    # Whoever pushes again is told that all is done, and sends nothing.
    again = plant.push(bundle, "--group", "fans", "--wait")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "0 of 2 files have to go to the broker" in again.stdout
    assert len(plant.asked(C, since)) == 1


@pytest.mark.parametrize("protocol", [5, 4], ids=["v5", "v3.1.1"])
def test_a_device_has_no_power_over_another(plant: Plant, protocol: int) -> None:
    # Whoever has the card of A has its name and its password.
    plant[A].stop()
    watcher, bundle = plant.watcher, plant.bundle()
    since, running = watcher.count, plant.running(B)
    other = Topics("factory", B)
    wish = encode(desired_of(bundle))
    member = (bundle / MODEL.file).read_bytes()
    forged = {
        other.bundle_desired: wish,
        other.bundle_state: b'{"state": "committed"}',
        other.status: b"offline",
        other.anomaly: b"{}",
        other.member("0" * 64): member,
    }
    with plant.broker.client(A, protocol) as thief:
        for topic, body in forged.items():
            reason = thief.publish(topic, body, retain=True)
            assert protocol == 4 or reason == NOT_AUTHORIZED
        for topic in (f"factory/{B}/#", "factory/+/anomaly", "factory/#"):
            thief.subscribe(topic)
        plant.wait_decisions(B, 3)
        own = (f"factory/{A}/", "factory/bundles/")
        assert all(got.topic.startswith(own) for got in thief.messages)
    for name in (B, f"asd-{B}"):
        # It calls itself B, and leaves B's last will behind.
        thief = plant.broker.client(A, protocol, client_id=name, will=other.status)
        thief.break_off()
    plant.wait_decisions(B, 3)
    for topic, body in (forged | {other.status: b"will"}).items():
        assert body not in [got.body for got in watcher.of(topic, since)]
    assert watcher.of(other.status, since) == []
    assert in_row(watcher.decisions(plant[B], since))
    assert plant.running(B) == running
    assert plant.reports(B, bundle, since) == []


def test_a_killed_agent_comes_back_whole_and_finishes(plant: Plant) -> None:
    since, old = plant.watcher.count, plant.running(A)
    bundle = plant.bundle()
    push = plant.begin_push(bundle, "--to", A, "--wait")
    plant.wait_state(A, bundle, "testing", since)
    plant[A].kill()
    assert plant[A].store.read().current == old
    again = plant.watcher.count
    plant[A].start()
    plant.wait_state(A, bundle, "trial", again)
    plant[A].kill()
    plant[A].start()
    assert push.end() == 0, push.said
    plant.wait_running(A, bundle)
    store = plant[A].store
    assert (store.read().current, store.read().trial) == (bundle.name, None)
    assert {path.name for path in store.folder.iterdir() if path.is_dir()} <= {
        *(bundle.name, old)
    }


def test_the_broker_goes_and_returns_in_the_middle(plant: Plant) -> None:
    watcher, since = plant.watcher, plant.watcher.count
    old, bundle = plant.running(C), plant.bundle()
    push = plant.begin_push(bundle, "--group", "line-3", "--wait")
    plant.wait_state(A, bundle, "testing", since)
    plant.broker.send(signal.SIGTERM)
    plant.broker.start()
    watcher.connect()
    assert push.end() == 0, push.said
    assert re.search("connected again|trying again in", push.said)
    for name in (A, B):
        plant.wait_running(name, bundle)
        plant.wait_decisions(name, 3)
        # What could not be sent meanwhile was sent later.
        decisions = watcher.decisions(plant[name], since)
        assert in_row(decisions)
        assert gap_s(decisions) == 0
    assert plant.running(C) == old


def canary_of(said: str) -> str:
    """Who was in the first wave, as the exporter says."""
    found = re.search(r"^wave 1 of 2: (\S+)$", said, re.M)
    assert found, said
    return found[1]


def is_part(states: list[str], of: tuple[str, ...]) -> bool:
    """Whether states follow one another as they should; some may not have been told."""
    rest = iter(of)
    return all(state in rest for state in states)


def is_wish(message: Received, name: str) -> bool:
    return message.topic == Topics("factory", name).bundle_desired
