"""A device is updated through a real broker, and tells of it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from asd_agent.mqtt.members import TopicFetcher
from asd_agent.mqtt.publisher import Publisher
from asd_agent.update.report import Report
from support.agents import RATE_HZ
from support.broker import Mosquitto, Subscriber, wait_for
from support.bundles import GOLDEN
from support.publishers import put
from support.running import know, push, running
from support.sounds import noise, wav
from support.updates import Device
from support.web import WebServer

pytestmark = pytest.mark.broker
TOPIC = "factory/press-07"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
def device(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> Device:
    """A device that runs pump-1 and knows its machine, with pump-2 to come."""
    monkeypatch.setattr(Publisher, "_delay_s", lambda *_: 0.05)
    made = Device(tmp_path / "device")
    tape = wav(tmp_path / "tape.wav", noise(3 * RATE_HZ, 21), RATE_HZ)
    config = made.configure(tape, mqtt=broker.port, pace="realtime", loop=True)
    folder = made.build("pump-1", 1, embeds=False)
    made.install(folder)
    know(config, folder)
    know(config, made.build("pump-2", 2, embeds=False, members=2))
    return made


def states(found: Subscriber) -> list[tuple[str, str | None]]:
    """State and reason of each report of the new bundle, each change once."""
    told: list[tuple[str, str | None]] = []
    for message in found.of(f"{TOPIC}/bundle/state"):
        body = message.json()
        if body["bundle"] is None or body["bundle"]["id"] == "pump-2":
            now = (body["state"], body["reason"])
            told += [now] if told[-1:] != [now] else []
    return told


def reaches(found: Subscriber, state: str, reason: str | None = None) -> None:
    wait_for(lambda: states(found)[-1:] == [(state, reason)], f"{state} {reason}", 30)


def new(device: Device) -> Path:
    return device.folder / "built" / "pump-2"


def newest(found: Subscriber, topic: str) -> Any:
    return found.wait(f"{TOPIC}/{topic}")[-1].json()


def test_a_push_is_fetched_tried_and_committed(
    device: Device, broker: Mosquitto
) -> None:
    reports: list[Report] = []
    with (
        Subscriber(broker.port) as found,
        running(device.configure_again(), reports),
    ):
        wait_for(lambda: bool(found.of(f"{TOPIC}/anomaly")), "decisions")
        push(broker, new(device))
        reaches(found, "committed")
        # Reports come fast; none is out of order.
        order = ["downloading", "verifying", "testing", "trial", "committed"]
        told = [state for state, _ in states(found)]
        assert told == [state for state in order if state in told]
        last = newest(found, "bundle/state")
        assert last["running"] == {"id": "pump-2", "version": 2}
        assert (last["windows"], last["windows_needed"]) >= (3, 3)
        assert newest(found, "info")["bundle"] == {"id": "pump-2", "version": 2}
        bundles = [m.json()["bundle"]["id"] for m in found.of(f"{TOPIC}/anomaly")]
        assert bundles == sorted(bundles)
        # The same wish again, as on every connect: nothing is done.
        count = len(found.of(f"{TOPIC}/bundle/state"))
        push(broker, new(device))
        found.wait(f"{TOPIC}/bundle/state", count + 1)
        assert states(found)[-1] == ("committed", None)
    assert device.store.read().current == "pump-2"


def test_files_come_from_a_web_server(device: Device, broker: Mosquitto) -> None:
    files = {path.name: path.read_bytes() for path in new(device).iterdir()}
    with (
        WebServer(files) as server,
        Subscriber(broker.port) as found,
        running(device.configure_again(), []),
    ):
        push(broker, new(device), base_url=server.base_url)
        reaches(found, "committed")
        assert [path for path, _ in server.asked] == [f"/bundles/pump-3/{GOLDEN}"]


def test_a_file_that_nobody_published_is_told_and_waited_for(
    device: Device, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(TopicFetcher, wait_s=0.1)
    monkeypatch.setattr("asd_agent.remote.TopicFetcher", impatient)
    with (
        Subscriber(broker.port) as found,
        running(device.configure_again(), []),
    ):
        push(broker, new(device), without=frozenset({GOLDEN}))
        reaches(found, "downloading", "unavailable")
        assert GOLDEN in newest(found, "bundle/state")["detail"]
        push(broker, new(device))
        reaches(found, "committed")


def test_a_place_that_is_not_asked_is_refused(
    device: Device, broker: Mosquitto
) -> None:
    with (
        Subscriber(broker.port) as found,
        running(device.configure_again(), []),
    ):
        push(broker, new(device), base_url="http://files.example/a")
        reaches(found, "rejected", "malformed")
    assert device.store.read().current == "pump-1"


def test_where_the_configuration_names_a_bundle_none_is_taken(
    device: Device, broker: Mosquitto
) -> None:
    path = str(device.folder / "built" / "pump-1")
    with (
        Subscriber(broker.port) as found,
        running(device.configure_again(path=path), []),
    ):
        push(broker, new(device))
        reaches(found, "rejected", "pinned")
    assert device.store.read().current == "pump-1"


def test_a_message_that_is_none_is_told(device: Device, broker: Mosquitto) -> None:
    with (
        Subscriber(broker.port) as found,
        running(device.configure_again(), []),
    ):
        put(broker.port, f"{TOPIC}/bundle/desired", b"hello")
        reaches(found, "rejected", "malformed")
        assert newest(found, "bundle/state")["bundle"] is None
