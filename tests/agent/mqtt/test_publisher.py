"""The publisher against real brokers, and without one."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from asd_agent.config import OutboxConfig
from asd_agent.errors import ConfigError
from asd_agent.mqtt import payloads
from asd_agent.mqtt.courier import Courier
from asd_agent.mqtt.disk_outbox import open_outbox
from asd_agent.mqtt.outbox import MemoryOutbox
from asd_agent.mqtt.publisher import Publisher
from asd_train.demo.broker import EmbeddedBroker
from support.broker import (
    WAIT_S,
    Certificates,
    Mosquitto,
    Subscriber,
    free_port,
    wait_for,
)
from support.decisions import ALARM, NORMAL, ORIGIN, SPECTRUM
from support.publishers import connected, plain, publishing

ANOMALY = "factory/press-07/anomaly"
STATUS = "factory/press-07/status"
INFO = "factory/press-07/info"
HEALTH = "factory/press-07/health"
STATE = "factory/press-07/gearbox/state"
SPECTRUM_TOPIC = "factory/press-07/gearbox/spectrum"
WORDS = "correct horse battery"
SCORE = payloads.anomaly(NORMAL, ORIGIN)
ALERT = payloads.anomaly(ALARM, ORIGIN)
UNCLOSED = pytest.mark.filterwarnings(
    # paho leaves the socket of a failed handshake to be closed when it is freed
    "ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


def changes(publisher: Publisher, count: int) -> None:
    """Leave so many messages: only a change is sent whatever the interval is."""
    for _ in range(count):
        publisher.decision("gearbox", ALERT, changed=True)


def speak(protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make publishers speak that protocol alone."""
    monkeypatch.setattr(Courier, "_connect", lambda self: self._open(protocol))


class Gate:
    """Holds up the next attempt to connect while it is shut."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def uniform(self, _low: float, high: float) -> float:
        self.open.wait(WAIT_S)
        return min(high, 0.05)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_pace_and_changes_without_a_broker() -> None:
    clock = Clock()
    publisher = Publisher(plain(1, interval_s=1.0), "press-07", {}, clock=clock)
    sent = []
    for step in range(8):
        clock.now_s = 100 + step * 0.512
        before = publisher.waiting
        publisher.decision("gearbox", SCORE, changed=step == 3)
        sent.append(publisher.waiting > before)
    # 0 s is the first, 1.024 s and 2.048 s are due, 1.536 s changed, 3.072 s is due.
    assert sent == [True, False, True, True, True, False, True, False]
    publisher.decision("pump", SCORE, changed=False)
    assert publisher.waiting == sum(sent) + 1
    publisher.close()


def test_after_a_pause_the_pace_begins_anew() -> None:
    clock = Clock()
    publisher = Publisher(plain(1, interval_s=1.0), "press-07", {}, clock=clock)
    for at_s in (100.0, 160.0, 160.5, 161.0):
        clock.now_s = at_s
        publisher.decision("gearbox", SCORE, changed=False)
    assert publisher.waiting == 3
    publisher.close()


def test_without_a_broker_nothing_waits_for_it() -> None:
    began_s = time.monotonic()
    box = MemoryOutbox(max_rows=50)
    with publishing(plain(free_port()), outbox=box) as publisher:
        changes(publisher, 80)
        publisher.health({})
        publisher.spectrum("gearbox", {})
        assert not publisher.connected
        assert (publisher.waiting, publisher.dropped) == (50, 30)
    assert time.monotonic() - began_s < 3


def test_a_broker_that_never_answers_does_not_hold_up_closing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with publishing(plain(mute.getsockname()[1])) as publisher:
            mute.accept()[0].close()
            changes(publisher, 1)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2.5


@pytest.mark.parametrize("key", ["password_file", "tls"])
def test_unreadable_secrets_stop_the_start(key: str, tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    named = {"username": "press-07", "password_file": absent}
    keys = named if key == "password_file" else {}
    tls = {"tls": {"ca": absent}} if key == "tls" else {}
    publisher = Publisher(plain(1, **keys, **tls), "press-07", {})
    with pytest.raises(ConfigError, match="absent"):
        publisher.start()
    publisher.close()


@pytest.mark.broker
def test_every_topic_with_its_quality_and_retention(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as early:
        with publishing(plain(broker.port)) as publisher:
            connected(publisher)
            publisher.decision("gearbox", SCORE, changed=False)
            publisher.health({"uptime_s": 1})
            shape = payloads.spectrum(
                NORMAL.__class__(**_fields(NORMAL) | {"spectrum": SPECTRUM}), ORIGIN
            )
            assert shape is not None
            publisher.spectrum("gearbox", shape)
            for topic in (STATUS, INFO, ANOMALY, STATE, HEALTH, SPECTRUM_TOPIC):
                early.wait(topic)
            with Subscriber(broker.port) as late:
                for topic in (STATUS, INFO, STATE, HEALTH):
                    (message,) = late.wait(topic)
                    assert (message.qos, message.retain) == (1, True), topic
                assert late.of(STATUS)[0].body == b"online"
                assert late.of(ANOMALY) == late.of(SPECTRUM_TOPIC) == []
        early.wait_body(STATUS, b"offline")
        assert [m.qos for m in early.of(ANOMALY)] == [1]
        assert [m.qos for m in early.of(SPECTRUM_TOPIC)] == [0]
        assert early.of(ANOMALY)[0].json() == SCORE | {"seq": 1}
        assert early.of(STATE)[0].json() == payloads.state(SCORE)


def _fields(decision: Any) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in decision.__slots__}


@pytest.mark.broker
def test_closing_sends_what_waits_and_offline_last(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as seen:
        with publishing(plain(broker.port)) as publisher:
            connected(publisher)
            changes(publisher, 200)
        seen.wait_body(STATUS, b"offline")
        assert [m.json()["seq"] for m in seen.of(ANOMALY)] == list(range(1, 201))
        assert seen.messages[-1].topic == STATUS
        assert (publisher.waiting, publisher.dropped) == (0, 0)


@pytest.mark.broker
def test_the_last_will_speaks_for_a_killed_agent(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port, STATUS) as seen:
        program = (
            "import sys, time\n"
            "from asd_agent.config import MqttConfig\n"
            "from asd_agent.mqtt.publisher import Publisher\n"
            "port = int(sys.argv[1])\n"
            "config = MqttConfig(host='127.0.0.1', port=port, tls=False)\n"
            "Publisher(config, 'press-07', {}).start()\n"
            "time.sleep(60)\n"
        )
        path = os.pathsep.join(sys.path)
        child = subprocess.Popen(
            (sys.executable, "-c", program, str(broker.port)),
            env=os.environ | {"PYTHONPATH": path},
        )
        try:
            seen.wait_body(STATUS, b"online")
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        seen.wait_body(STATUS, b"offline")


@pytest.mark.broker
def test_a_broker_that_comes_late_gets_everything(tmp_path: Path) -> None:
    broker, gate = Mosquitto(tmp_path), Gate()
    with publishing(plain(broker.port), uniform=gate.uniform) as publisher:
        changes(publisher, 30)
        publisher.health({"uptime_s": 1})
        with broker, Subscriber(broker.port) as seen:
            gate.open.set()
            messages = [m.json() for m in seen.wait(ANOMALY, 30)]
            assert [m["seq"] for m in messages] == list(range(1, 31))
            assert all(m["replayed"] for m in messages)
            assert seen.wait(STATE)[0].json()["state"] == "anomalous"
            seen.wait(HEALTH)
            wait_for(lambda: publisher.waiting == 0, "all acknowledged")
            changes(publisher, 1)
            assert seen.wait(ANOMALY, 31)[30].json()["replayed"] is False


@pytest.mark.broker
def test_a_broker_that_restarts_loses_nothing(tmp_path: Path) -> None:
    broker, gate = Mosquitto(tmp_path), Gate()
    seqs: set[int] = set()
    with publishing(plain(broker.port), uniform=gate.uniform) as publisher:
        for _ in range(3):
            with broker, Subscriber(broker.port) as seen:
                gate.open.set()
                connected(publisher)
                changes(publisher, 40)
                wait_for(lambda: publisher.waiting == 0, "all acknowledged")
                # The broker kept nothing: all of these come from the agent.
                for topic in (STATUS, INFO, STATE):
                    seen.wait(topic)
                seen.wait(ANOMALY, 40)
                seqs |= {m.json()["seq"] for m in seen.of(ANOMALY)}
                gate.open.clear()
            changes(publisher, 10)
        with broker, Subscriber(broker.port) as seen:
            gate.open.set()
            wait_for(lambda: publisher.waiting == 0, "all acknowledged")
            seqs |= {m.json()["seq"] for m in seen.wait(ANOMALY, 10)}
    assert seqs == set(range(1, 151))


@UNCLOSED
@pytest.mark.broker
def test_tls_takes_the_right_authority_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    right = Certificates.make(tmp_path / "right")
    other = Certificates.make(tmp_path / "other")
    with Mosquitto(tmp_path, tls=right) as broker:
        trusted = plain(broker.port, host="localhost", tls={"ca": right.ca})
        with publishing(trusted) as publisher:
            connected(publisher)
            changes(publisher, 1)
            wait_for(lambda: publisher.waiting == 0, "acknowledged over TLS")
        wrong = plain(broker.port, host="localhost", tls={"ca": other.ca})
        with publishing(wrong) as publisher:
            wait_for(lambda: "not trusted" in caplog.text, "refusal in the log")
            assert not publisher.connected


@UNCLOSED
@pytest.mark.broker
def test_tls_refuses_another_host_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Certificates.make(tmp_path / "tls", host="other.example")
    with Mosquitto(tmp_path, tls=made) as broker:
        config = plain(broker.port, host="localhost", tls={"ca": made.ca})
        with publishing(config) as publisher:
            wait_for(lambda: "another name" in caplog.text, "refusal in the log")
            assert not publisher.connected


@pytest.mark.broker
def test_a_client_certificate_opens_a_broker_that_wants_one(tmp_path: Path) -> None:
    made = Certificates.make(tmp_path / "tls")
    lines = (f"cafile {made.ca}", "require_certificate true")
    with Mosquitto(tmp_path, tls=made, lines=lines) as broker:
        own = {"ca": made.ca, "cert": made.cert, "key": made.key}
        config = plain(broker.port, host="localhost", tls=own)
        with publishing(config) as publisher:
            connected(publisher)
        config = plain(broker.port, host="localhost", tls={"ca": made.ca})
        with publishing(config) as publisher:
            time.sleep(0.5)
            assert not publisher.connected


@pytest.mark.broker
def test_the_password_is_sent_and_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "password"
    file.write_text("wrong one\n")
    with Mosquitto(tmp_path, user=("press-07", WORDS)) as broker:
        keys = {"username": "press-07", "password_file": file}
        with publishing(plain(broker.port, **keys)) as publisher:
            wait_for(lambda: "refuses us" in caplog.text, "refusal in the log")
            time.sleep(0.5)
            assert not publisher.connected
            assert caplog.text.count("refuses us") == 1, "once a minute"
            # It is read at every attempt: a new one is taken up.
            file.write_text(f"{WORDS}\n")
            connected(publisher)
    assert WORDS not in caplog.text
    assert "wrong one" not in caplog.text


@pytest.mark.broker
def test_what_the_broker_does_not_permit_is_said_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "acl"
    rules.write_text(f"topic write {STATUS}\ntopic read #\n")
    with (
        Mosquitto(tmp_path, lines=(f"acl_file {rules}",)) as broker,
        publishing(plain(broker.port)) as publisher,
    ):
        changes(publisher, 5)
        wait_for(lambda: publisher.waiting == 0, "all answered")
        # Five decisions, `info`, and the state at least once.
        wait_for(lambda: publisher.refused >= 7, "all refused")
        assert publisher.dropped == 0
        assert publisher.connected
    said = [r.getMessage() for r in caplog.records if "refuses messages" in r.message]
    assert len(said) == 1
    assert "Not authorized" in said[0]
    assert "factory/press-07/#" in said[0]


@pytest.mark.broker
def test_with_3_1_1_a_broker_calls_a_refusal_a_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why MQTT 5 is offered first: all is lost here, and nobody is told."""
    speak(4, monkeypatch)
    rules = tmp_path / "acl"
    rules.write_text(f"topic write {STATUS}\ntopic read #\n")
    with (
        Mosquitto(tmp_path, lines=(f"acl_file {rules}",)) as broker,
        Subscriber(broker.port) as seen,
        publishing(plain(broker.port)) as publisher,
    ):
        changes(publisher, 5)
        seen.wait_body(STATUS, b"online")
        wait_for(lambda: publisher.waiting == 0, "all acknowledged")
        assert (publisher.refused, publisher.dropped) == (0, 0)
        assert seen.of(ANOMALY) == []


@pytest.mark.broker
def test_decisions_that_nobody_reads_are_counted(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        changes(publisher, 3)
        wait_for(lambda: publisher.waiting == 0, "all acknowledged")
        assert (publisher.unheard, publisher.refused) == (3, 0)
        with Subscriber(broker.port):
            changes(publisher, 2)
            wait_for(lambda: publisher.waiting == 0, "all acknowledged")
        assert publisher.unheard == 3


@pytest.mark.broker
@pytest.mark.parametrize("protocol", [5, 4])
def test_two_devices_of_one_name_do_not_fight_for_ever(
    protocol: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speak(protocol, monkeypatch)
    with (
        Mosquitto(tmp_path) as broker,
        publishing(plain(broker.port)) as one,
        publishing(plain(broker.port)) as other,
    ):
        wait_for(lambda: one.taken_over + other.taken_over > 0, "one sees the other")
        wait_for(lambda: one.connected != other.connected, "one has given in")
        before = one.reconnects + other.reconnects
        time.sleep(0.5)
        assert one.reconnects + other.reconnects == before
        assert one.taken_over + other.taken_over == 1
    (said,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "asd-press-07" in said.getMessage()
    assert "a name of its own" in said.getMessage()


@pytest.mark.broker
def test_paho_is_given_nothing_to_refuse(tmp_path: Path) -> None:
    """Its own queue would keep the oldest and refuse the newest."""
    broker, box = Mosquitto(tmp_path), MemoryOutbox(max_rows=50)
    gate = Gate()
    with publishing(plain(broker.port), outbox=box, uniform=gate.uniform) as publisher:
        changes(publisher, 300)
        with broker, Subscriber(broker.port) as seen:
            gate.open.set()
            messages = seen.wait(ANOMALY, 50)
            assert [m.json()["seq"] for m in messages] == list(range(251, 301))
            assert (publisher.dropped, publisher.reconnects) == (250, 0)


@pytest.mark.broker
def test_the_next_life_sends_what_the_last_one_could_not(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with publishing(
        plain(free_port()), outbox=open_outbox(folder, OutboxConfig())
    ) as p:
        changes(p, 30)
        assert p.undurable == 0
    with Mosquitto(tmp_path) as broker, Subscriber(broker.port) as seen:
        outbox = open_outbox(folder, OutboxConfig())
        with publishing(plain(broker.port), outbox=outbox) as publisher:
            changes(publisher, 2)
            messages = [m.json() for m in seen.wait(ANOMALY, 32)]
            wait_for(lambda: publisher.waiting == 0, "all acknowledged")
        assert [m["seq"] for m in messages] == [*range(1, 31), 1, 2]
        assert all(m["replayed"] for m in messages[:30])
        assert messages[0] == ALERT | {"seq": 1, "replayed": True}
    again = open_outbox(folder, OutboxConfig())
    again.start(lambda: None)
    again.close()
    assert len(again) == 0


def test_a_broker_without_mqtt_5_is_served_with_3_1_1(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "asd_agent")
    with EmbeddedBroker() as broker, Subscriber(broker.port, protocol=4) as seen:
        with publishing(plain(broker.port)) as publisher:
            changes(publisher, 30)
            messages = seen.wait(ANOMALY, 30)
            assert [m.json()["seq"] for m in messages] == list(range(1, 31))
            seen.wait_body(STATUS, b"online")
        seen.wait_body(STATUS, b"offline")
    assert "MQTT 3.1.1" in caplog.text
