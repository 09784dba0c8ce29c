"""Login, rights and delivery: at the shipped broker, and at worse ones."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asd_agent.config import MqttConfig
from asd_agent.doctor import broker as doctor
from asd_agent.doctor import rights, session
from asd_agent.doctor.broker import Visitor
from asd_agent.doctor.finding import Finding, Grade
from asd_agent.doctor.running import Running
from asd_agent.errors import ConfigError
from support.broker import Mosquitto, Subscriber
from support.deployed import AUDITOR, Deployed
from support.raw_broker import CONNACK, Peer, RawBroker, header, publish

DEVICE = "press-07"
GRADES = {
    "reading": Grade.OK,
    "delivery": Grade.OK,
    "publishing": Grade.OK,
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    made = Deployed(tmp_path_factory.mktemp("broker"), "--save-every", "3600")
    made.device(DEVICE)
    made.device("press-09", "--certificate")
    with made:
        yield made


def visit(
    config: MqttConfig,
    device: str = DEVICE,
    agent: Running = Running.NO,
    disturb: bool = False,
    sources: tuple[str, ...] = ("pump",),
) -> dict[str, Finding]:
    visitor = Visitor(config, device, sources, agent, disturb)
    return {finding.subject: finding for finding in doctor.broker(visitor)}


def config_of(broker: Deployed, user: str | None = DEVICE, **keys: Any) -> MqttConfig:
    place = broker.folder / "devices" / DEVICE
    known: dict[str, Any] = {
        "host": "localhost",
        "port": broker.port,
        "tls": {"ca": str(broker.ca)},
    }
    if user is not None:
        known |= {"username": user, "password_file": str(place / "mqtt-password")}
    return MqttConfig.model_validate(known | keys)


def plain(port: int, **keys: Any) -> MqttConfig:
    known = {"host": "localhost", "port": port, "tls": False}
    return MqttConfig.model_validate(known | keys)


@pytest.mark.broker
def test_all_is_well_and_nobody_is_told(broker: Deployed) -> None:
    with broker.client(AUDITOR) as auditor:
        auditor.subscribe("#")
        auditor.clear()
        found = visit(config_of(broker))
        auditor.publish("sync", b"last")
        auditor.wait("sync", b"last")
        own = f"factory/{DEVICE}/doctor"
        told = {message.topic for message in auditor.messages} - {"sync"}
        bodies = auditor.bodies(own)
    assert [f.grade for f in found.values()] == [Grade.OK] * len(found)
    assert found["login"].text.startswith(f"accepted as {DEVICE}, MQTT 5, after ")
    assert "nothing is retained there" in found["reading"].text
    assert "there and back in " in found["delivery"].text
    assert 0 < float(found["delivery"].figures["round_trip_s"] or 0) < 5
    assert found["publishing"].text == "8 topics of this device may be written"
    assert told == {own}
    assert [body.split()[0] for body in bodies] == [b"whole"]


@pytest.mark.broker
def test_a_wish_that_is_retained_is_seen(broker: Deployed) -> None:
    topic = f"factory/{DEVICE}/bundle/desired"
    with broker.client(AUDITOR) as auditor:
        auditor.publish(topic, b"x" * 1234, retain=True)
        found = visit(config_of(broker))
        auditor.publish(topic, b"", retain=True)
    assert found["reading"].text == f"{topic}: a wish of 1,234 bytes came"


@pytest.mark.broker
def test_a_wrong_password(broker: Deployed, tmp_path: Path) -> None:
    wrong = tmp_path / "password"
    wrong.write_text("not this one\n")
    found = visit(config_of(broker, password_file=str(wrong)))
    assert (found["login"].grade, found["login"].exit_code) == (Grade.FAIL, 2)
    assert found["login"].text == "the broker refuses us: Not authorized"
    assert f"provision-device.sh {DEVICE}" in found["login"].fix
    assert found["reading, delivery, publishing"].grade is Grade.SKIP
    assert "not this one" not in str(found)


@pytest.mark.broker
def test_no_user_at_all(broker: Deployed) -> None:
    found = visit(config_of(broker, user=None))["login"]
    assert found.grade is Grade.FAIL
    assert found.fix.startswith("the broker wants to know who this is: set mqtt.user")


@pytest.mark.broker
def test_a_password_that_cannot_be_read(broker: Deployed, tmp_path: Path) -> None:
    config = config_of(broker, password_file=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="password_file"):
        visit(config)


@pytest.mark.broker
@pytest.mark.parametrize(
    ("device", "root"), [("press-08", "factory"), (DEVICE, "hall")]
)
def test_the_rules_are_for_another_name(
    broker: Deployed, device: str, root: str
) -> None:
    found = visit(config_of(broker, root=root), device)
    assert found["login"].grade is Grade.OK
    assert found["delivery"].grade is Grade.WARN
    assert f"pattern write {root}/%u/doctor" in found["delivery"].fix
    status = f"{root}/{device}/status"
    assert (found["publishing"].grade, found["publishing"].exit_code) == (Grade.FAIL, 2)
    assert (
        found["publishing"].text == f"{status}: the broker refuses it: Not authorized"
    )
    assert f"let user {DEVICE} write {root}/{DEVICE}/" in found["publishing"].fix


RULES = {
    # What the rules of a broker leave out, and what is then said.
    "anomaly": ("write", "publishing", "factory/press-07/anomaly: the broker refuses"),
    "+/state": ("write", "publishing", "factory/press-07/pump/state: the broker"),
}


@pytest.mark.broker
@pytest.mark.parametrize("left_out", RULES)
def test_a_rule_that_is_missing(tmp_path: Path, left_out: str) -> None:
    verb, subject, text = RULES[left_out]
    shipped = Path(doctor.__file__).parents[3] / "deploy" / "mosquitto" / "acl"
    rule = f"pattern {verb} factory/%u/{left_out}\n"
    rules = shipped.read_text()
    assert rule in rules
    (tmp_path / "acl").write_text(rules.replace(rule, ""))
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    lines = (f"acl_file {tmp_path / 'acl'}",)
    with Mosquitto(tmp_path, user=(DEVICE, "sesame"), lines=lines) as mosquitto:
        known = {"username": DEVICE, "password_file": str(secret)}
        found = visit(plain(mosquitto.port, **known))
    wrong = {name: f for name, f in found.items() if f.grade is Grade.FAIL}
    assert list(wrong) == [subject]
    assert wrong[subject].text.startswith(text)


@pytest.mark.broker
def test_our_own_topic_may_be_written_but_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 2.0)
    (tmp_path / "acl").write_text("topic write factory/#\n")
    with Mosquitto(tmp_path, lines=(f"acl_file {tmp_path / 'acl'}",)) as mosquitto:
        found = visit(plain(mosquitto.port))
    assert found["delivery"].grade is Grade.WARN
    assert found["delivery"].text.endswith(
        "never delivered: the rules forbid to read it"
    )
    assert found["delivery"].fix == "allow it: pattern read factory/%u/doctor"
    assert "factory/press-07/status may be written; the others are not tried" in (
        found["publishing"].text
    )


@pytest.mark.broker
def test_many_sources_do_not_ask_too_much(broker: Deployed) -> None:
    names = tuple(f"pump-{i}" for i in range(16))
    found = visit(config_of(broker), sources=names)
    assert found["publishing"].text == "15 topics of this device may be written"


@pytest.mark.broker
def test_a_certificate_in_place_of_a_password(broker: Deployed) -> None:
    place = broker.folder / "devices" / "press-09"
    tls = {
        "ca": str(broker.ca),
        "cert": str(place / "mqtt.pem"),
        "key": str(place / "mqtt.key"),
    }
    known = config_of(broker, None, port=broker.certificate_port, tls=tls)
    found = visit(known, "press-09")
    assert {f.grade for f in found.values()} == {Grade.OK}
    assert found["own certificate"].text.startswith("valid until 20")
    assert found["login"].text.startswith("accepted without a user name")


@pytest.mark.broker
def test_a_certificate_is_wanted_and_there_is_none(broker: Deployed) -> None:
    found = visit(config_of(broker, port=broker.certificate_port))["login"]
    assert found.text.startswith("no answer to CONNECT: the broker hung up")
    assert "mqtt.tls.cert" in found.fix


@pytest.mark.broker
@pytest.mark.parametrize("agent", [Running.YES, Running.UNKNOWN])
def test_a_running_agent_is_not_disturbed(broker: Deployed, agent: Running) -> None:
    with broker.client(DEVICE, will=f"factory/{DEVICE}/status") as running:
        found = visit(config_of(broker), agent=agent)
        assert running.publish(f"factory/{DEVICE}/anomaly", b"still here") in (0, 16)
        assert running.drops == []
    assert list(found) == ["DNS", "TCP", "TLS", "certificate", doctor.AFTER_TLS]
    left = found[doctor.AFTER_TLS]
    assert left.grade is Grade.SKIP
    assert left.text.startswith(f"not tried: the agent {agent.value}, and a second")
    assert "--disturb" in left.fix


@pytest.mark.broker
def test_a_running_agent_is_disturbed_if_one_says_so(broker: Deployed) -> None:
    with broker.client(DEVICE) as running:
        found = visit(config_of(broker), agent=Running.YES, disturb=True)
        running.wait_for(lambda: bool(running.drops), "the other connection ends")
    assert {name: found[name].grade for name in GRADES} == GRADES


def test_the_agent_takes_its_place_back() -> None:
    def script(peer: Peer) -> None:
        peer.expect(0x82)
        peer.send(b"\xe0\x01\x8e")  # DISCONNECT: session taken over

    with RawBroker(script) as raw:
        found = visit(plain(raw.port), agent=Running.YES, disturb=True)
    assert found["connection"].grade is Grade.FAIL
    assert found["connection"].text == (
        "the broker ended the connection: Session taken over"
    )
    assert "the agent came back" in found["connection"].fix


def answer(
    peer: Peer,
    *,
    suback: int = 0x01,
    at_once: bool = False,
    take: Callable[[str], bool] = lambda topic: True,
) -> None:
    """A broker of MQTT 5 without a store, for one client that reads what it sends."""
    while True:
        kind, body = peer.packet()
        if kind == 0x82:
            peer.send(b"\x90\x04" + body[:2] + b"\x00" + bytes([suback]))
        elif kind >> 4 == 3:
            qos, size = kind >> 1 & 3, int.from_bytes(body[:2], "big")
            topic = body[2 : 2 + size].decode()
            number, content = body[2 + size : 4 + size], body[5 + size :]
            reason = 0x00 if take(topic) else 0x87
            peer.send(bytes([0x40 if qos == 1 else 0x50, 3]) + number + bytes([reason]))
            if reason == 0 and (qos == 1 or at_once):
                peer.send(publish(topic, content, 5))
        elif kind == 0xE0:
            return


def test_a_subscription_that_is_refused() -> None:
    with RawBroker(lambda peer: answer(peer, suback=0x87)) as raw:
        visitor = Visitor(plain(raw.port), DEVICE, (), Running.NO, False)
        found = [f for f in doctor.broker(visitor) if f.subject == "reading"]
    assert [f.grade for f in found] == [Grade.FAIL, Grade.WARN]
    assert found[0].text == (
        "factory/press-07/bundle/desired: the broker refuses the subscription: "
        "Not authorized; no bundle can be pushed"
    )
    assert found[0].fix.endswith("pattern read factory/%u/bundle/desired")
    assert "only doctor needs it" in found[1].text


@pytest.mark.parametrize("at_once", [False, True])
def test_a_broker_that_does_not_hold_back_is_told_one_word(
    monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(rights, "GRACE_S", 0.2)
    seen: list[str] = []

    def take(topic: str) -> bool:
        seen.append(topic.removeprefix(f"factory/{DEVICE}/"))
        return True

    with RawBroker(lambda peer: answer(peer, at_once=at_once, take=take)) as raw:
        found = visit(plain(raw.port))["publishing"]
    own, topics = ["doctor", "doctor"], ["anomaly", "status", "info", "health"]
    topics += ["bundle/state", "pump/state", "pump/spectrum", "pump/coverage"]
    assert seen == own + (["status"] if at_once else topics)
    assert found.grade is Grade.OK
    assert ("was not seen to hold messages back" in found.text) is at_once


def test_a_refusal_is_told_for_each_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "GRACE_S", 0.1)
    with RawBroker(lambda p: answer(p, take=lambda t: "pump" not in t)) as raw:
        visitor = Visitor(plain(raw.port), DEVICE, ("pump",), Running.NO, False)
        found = [f.text for f in doctor.broker(visitor) if f.grade is Grade.FAIL]
    assert [text.split(":")[0] for text in found] == [
        f"factory/{DEVICE}/pump/{name}" for name in ("state", "spectrum", "coverage")
    ]


class Choosy(RawBroker):
    """Gives its own answer to CONNECT; hangs up on an empty one."""

    def __init__(self, answers: dict[int, bytes]) -> None:
        super().__init__(answer)
        self._answers = answers

    def _serve(self, peer: Peer) -> None:
        _, peer.connect = peer.packet()
        peer.protocol = peer.connect[6]
        peer.send(self._answers[peer.protocol])
        if peer.protocol == 4 and self._answers[4] == CONNACK[4]:
            self._old(peer)

    def _old(self, peer: Peer) -> None:
        while True:
            kind, body = peer.packet()
            if kind == 0x82:
                peer.send(b"\x90\x03" + body[:2] + b"\x01")
            elif kind >> 4 == 3:
                size = int.from_bytes(body[:2], "big")
                peer.send(b"\x40\x02" + body[2 + size : 4 + size])
                peer.send(publish(body[2 : 2 + size].decode(), body[4 + size :], 4))
            elif kind == 0xE0:
                return


@pytest.mark.parametrize("five", [b"", b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x01"])
def test_a_broker_of_an_older_mqtt(five: bytes) -> None:
    with Choosy({5: five, 4: CONNACK[4]}) as raw:
        found = visit(plain(raw.port))
    assert found["login"].grade is Grade.WARN
    assert "MQTT 3.1.1, after " in found["login"].text
    assert "mistakes in rights lose them" in found["login"].text
    assert found["delivery"].grade is Grade.OK
    assert found["publishing"].grade is Grade.SKIP


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ({5: b"\x20\x03\x00\x86\x00"}, "the broker refuses us: Bad user name or passw"),
        ({5: b"\x20\x03\x00\x97\x00"}, "the broker refuses us: Quota exceeded"),
        ({5: b"\x20\x03\x00\x55\x00"}, "the broker refuses us: code 0x55"),
        (
            {5: b"\x20\x09\x00\x87\x06\x1f\x00\x03why"},
            "the broker refuses us: Not authorized: why",
        ),
        ({5: b"", 4: b"\x20\x02\x00\x04"}, "the broker refuses us: Bad user name or"),
        ({5: b"", 4: b""}, "no answer to CONNECT: the broker hung up"),
        (
            {5: b"\x20\xff\xff\xff\xff\x01", 4: b""},
            "no answer to CONNECT: the broker sends what is not MQTT",
        ),
    ],
)
def test_a_broker_that_refuses(answers: dict[int, bytes], text: str) -> None:
    with Choosy(answers) as raw:
        found = visit(plain(raw.port))
    assert found["login"].grade is Grade.FAIL
    assert found["login"].text.startswith(text)


def test_a_broker_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ANSWER_S", 0.2)

    class Silent(RawBroker):
        def _serve(self, peer: Peer) -> None:
            peer.wait_end()

    with Silent(lambda peer: None) as raw:
        began_s = time.monotonic()
        found = visit(plain(raw.port))
        assert time.monotonic() - began_s < 5
    assert found["login"].text == "no answer to CONNECT: no answer within 0.2 s"


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        (b"\x24\x00", "takes no messages of QoS 1"),
        (b"\x25\x00", "retains no messages"),
        (b"\x27\x00\x00\x10\x00", "takes no packets of 65,536 bytes"),
    ],
)
def test_a_broker_that_cannot_do_what_is_needed(properties: bytes, text: str) -> None:
    body = b"\x00\x00" + bytes([len(properties)]) + properties
    with Choosy({5: header(len(body), 0x20) + body}) as raw:
        found = visit(plain(raw.port))["login"]
    assert found.grade is Grade.FAIL
    assert found.text.endswith(text)


def test_the_most_unfinished_messages_are_the_brokers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rights, "GRACE_S", 0.1)

    class Narrow(RawBroker):
        def _serve(self, peer: Peer) -> None:
            peer.packet()
            peer.send(b"\x20\x06\x00\x00\x03\x21\x00\x04")  # Receive Maximum 4
            answer(peer)

    with Narrow(lambda peer: None) as raw:
        found = visit(plain(raw.port))["publishing"]
    assert found.text == "3 topics of this device may be written"


@pytest.mark.broker
def test_a_plain_broker_leaves_nothing_retained(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as mosquitto:
        found = visit(plain(mosquitto.port))
        assert {f.grade for f in found.values()} == {Grade.OK}
        with Subscriber(mosquitto.port) as subscriber:
            subscriber._client.publish("sync", b"last", 1)
            subscriber.wait("sync")
            assert [m.topic for m in subscriber.messages] == ["sync"]


def test_a_client_is_another_than_the_agent() -> None:
    visitor = Visitor(plain(1), DEVICE, (), Running.NO, False)
    assert visitor.client_id == "asd-press-07-doctor"
