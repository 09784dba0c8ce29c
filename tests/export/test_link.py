"""The exporter's connection against a real broker, and against bad ones."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asd_agent.errors import ConfigError
from asd_export import link
from asd_export.broker import Access, access
from asd_export.errors import BrokerError, LinkDown
from asd_export.link import Link
from asd_export.monitor import Monitor, insist
from support.broker import Certificates, Mosquitto, Subscriber, free_port, wait_for
from support.raw_broker import Peer, RawBroker

pytestmark = pytest.mark.broker


def plain(port: int, **options: Any) -> Access:
    return access({"host": "127.0.0.1", "port": port, "insecure": True, **options})


def nowhere(_topic: str, _body: bytes) -> None:
    return


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as found:
        yield found


def test_what_is_sent_is_retained_and_read_back(broker: Mosquitto) -> None:
    heard: dict[str, bytes] = {}
    own = Link(plain(broker.port), heard.__setitem__, sends=True)
    body = bytes(range(256)) * 20_000
    told: list[int] = []
    own.publish("factory/bundles/x", body)
    own.flush(told.append)
    assert told[-1] == own.sent_bytes
    assert own.sent_bytes >= len(body)
    own.subscribe(["factory/bundles/x"])
    assert heard == {"factory/bundles/x": body}
    own.unsubscribe(["factory/bundles/x"])
    own.publish("factory/bundles/x", b"")
    own.flush()
    own.settle()
    assert heard == {"factory/bundles/x": body}
    own.close()


def test_progress_is_seen_within_a_long_message() -> None:
    size = 20_000_000

    def read_slowly(peer: Peer) -> None:
        left = size
        while left > 0:
            left -= len(peer.connection.recv(500_000))
            time.sleep(0.005)
        peer.send(b"\x40\x02\x00\x01")
        peer.wait_end()

    with RawBroker(read_slowly) as broker:
        own = Link(plain(broker.port), nowhere, sends=True)
        told: list[int] = []
        own.publish("factory/bundles/x", b"x" * size)
        own.flush(told.append)
        own.close()
    assert len(set(told)) > 3
    assert told == sorted(told)


def test_nothing_is_lost_of_a_large_plant(broker: Mosquitto) -> None:
    # A broker's queue holds 1000 messages for a client; the rest it throws away.
    own = Link(plain(broker.port), nowhere, sends=True)
    for i in range(3000):
        own.publish(f"factory/d{i}/status", b"online")
    own.flush()
    heard: dict[str, bytes] = {}
    other = Link(plain(broker.port), heard.__setitem__)
    other.subscribe(["factory/+/status"])
    assert len(heard) == 3000
    for found in (own, other):
        found.close()


def test_a_portion_of_a_fleet_is_whole_though_wishes_are_long(
    broker: Mosquitto,
) -> None:
    own = Link(plain(broker.port), nowhere, sends=True)
    topics = [f"factory/d{i}/bundle/desired" for i in range(200)]
    for topic in topics:
        own.publish(topic, b"x" * 100_000)
    own.flush()
    heard: dict[str, bytes] = {}
    other = Link(plain(broker.port), heard.__setitem__)
    other.subscribe(topics)
    assert set(heard) == set(topics)
    for found in (own, other):
        found.close()


def test_a_broker_that_is_not_there_is_told() -> None:
    port = free_port()
    with pytest.raises(LinkDown, match=f"127.0.0.1:{port}: cannot be reached"):
        Link(plain(port), nowhere)
    assert BrokerError.exit_code == 10


def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, user=("fleet", "sesame")) as broker:
        wrong = tmp_path / "wrong"
        wrong.write_text("open\n")
        where = plain(broker.port, username="fleet", password_file=wrong)
        with pytest.raises(BrokerError, match="refuses user fleet: Not auth") as caught:
            Link(where, nowhere)
        assert not isinstance(caught.value, LinkDown)
        assert "open" not in str(caught.value)
        wrong.write_text("sesame\n")
        Link(where, nowhere).close()


def test_tls_trusts_only_who_it_is_told_to(tmp_path: Path) -> None:
    good = Certificates.make(tmp_path / "good")
    other = Certificates.make(tmp_path / "other")
    with Mosquitto(tmp_path, tls=good) as broker:
        at = {"host": "localhost", "port": broker.port}
        Link(access(at | {"ca": good.ca}), nowhere).close()
        for wrong in (at, at | {"ca": other.ca}, at | {"host": "127.0.0.1"}):
            where = access({"ca": good.ca} | wrong if "ca" in wrong else wrong)
            with pytest.raises(BrokerError, match="no safe connection"):
                Link(where, nowhere)
        with pytest.raises(LinkDown, match="does it want TLS"):
            Link(plain(broker.port), nowhere)
        with pytest.raises(ConfigError, match=r"mqtt\.tls\.ca"):
            Link(access(at | {"ca": tmp_path / "none"}), nowhere)


def test_a_refused_message_names_topic_and_user(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("user fleet\ntopic readwrite factory/bundles/#\n")
    with Mosquitto(
        tmp_path, user=("fleet", "sesame"), lines=(f"acl_file {acl}",)
    ) as broker:
        secret = tmp_path / "secret"
        secret.write_text("sesame\n")
        where = plain(broker.port, username="fleet", password_file=secret)
        own = Link(where, nowhere, sends=True)
        own.publish("factory/bundles/x", b"x")
        own.flush()
        own.publish("factory/press-07/bundle/desired", b"x")
        with pytest.raises(BrokerError) as caught:
            own.flush()
        assert "user fleet write to factory/press-07/bundle/desired" in str(
            caught.value
        )
        assert "Not authorized" in str(caught.value)


def test_a_refused_subscription_names_topic_and_user() -> None:
    def refuse(peer: Peer) -> None:
        number = peer.expect(0x82)[:2]
        peer.send(b"\x90\x04" + number + b"\x00\x87")
        peer.expect(0xA2)

    with RawBroker(refuse) as broker:
        own = Link(plain(broker.port), nowhere)
        with pytest.raises(BrokerError, match=r"a user without a name read factory/\+"):
            own.subscribe(["factory/+/status"])


CONNACKS = {
    "keeps nothing": (b"\x20\x05\x00\x00\x02\x25\x00", "keeps no retained messages"),
    "speaks 3.1.1": (b"\x20\x02\x00\x01", "Unsupported protocol version"),
}


@pytest.mark.parametrize("answer", CONNACKS.values(), ids=CONNACKS)
def test_a_broker_that_cannot_do_it_is_refused(answer: tuple[bytes, str]) -> None:
    raw, words = answer

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(raw)
            connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(BrokerError, match=words):
            Link(plain(server.getsockname()[1]), nowhere).pump(1.0)
        thread.join()


def test_a_broker_that_hangs_up_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(LinkDown, match="hangs up before it answers"):
            Link(plain(server.getsockname()[1]), nowhere)
        thread.join()


def test_a_broker_that_stops_taking_bytes_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "STALL_S", 0.3)
    ended = threading.Event()

    def sleep(_peer: Peer) -> None:
        ended.wait(10)

    with RawBroker(sleep) as broker:
        own = Link(plain(broker.port), nowhere, sends=True)
        own.publish("factory/bundles/x", b"x" * 20_000_000)
        with pytest.raises(LinkDown, match=r"nothing has moved for 0\.3 s"):
            own.flush()
        with pytest.raises(LinkDown, match=r"nothing has moved for 0\.3 s"):
            own.subscribe(["factory/+/status"])
        ended.set()


def test_the_limit_of_the_broker_is_known(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, lines=("max_packet_size 100000",)) as broker:
        own = Link(plain(broker.port), nowhere)
        assert own.max_packet_bytes == 100_000
        own.close()


def test_what_needs_a_connection_is_tried_again() -> None:
    said: list[str] = []
    failures = [LinkDown("b: lost"), LinkDown("b: lost")]

    def act() -> None:
        if failures:
            raise failures.pop()

    insist(act, said.append, pauses_s=(0.001, 0.002, 0.003))
    assert said == [
        "b: lost; trying again in 0.001 s",
        "b: lost; trying again in 0.002 s",
    ]
    failures = [LinkDown("b: lost")] * 2
    with pytest.raises(LinkDown):
        insist(act, said.append, pauses_s=(0.001,))

    def refused() -> None:
        raise BrokerError("no")

    with pytest.raises(BrokerError, match="no"):
        insist(refused, said.append)
    assert len(said) == 3


def test_two_of_one_name_are_told_apart() -> None:
    def take_over(peer: Peer) -> None:
        peer.send(b"\xe0\x02\x8e\x00")
        peer.wait_end()

    with RawBroker(take_over) as broker:
        where = plain(broker.port, username="fleet")
        monitor = Monitor(where, nowhere, lambda _: None, pauses_s=(0.01,))
        # To connect again would throw the other out in turn.
        with pytest.raises(BrokerError, match="somebody else connected as user fleet"):
            monitor.pump(5.0)
        assert len(broker.peers) == 1
        monitor.close()


def test_where_the_broker_does_not_tell_them_apart_there_is_a_hint(
    tmp_path: Path,
) -> None:
    lines = ("use_username_as_clientid true",)
    with Mosquitto(tmp_path, user=("fleet", "sesame"), lines=lines) as broker:
        secret = tmp_path / "secret"
        secret.write_text("sesame\n")
        where = plain(broker.port, username="fleet", password_file=secret)
        said: list[str] = []
        monitor = Monitor(where, nowhere, said.append, pauses_s=(60.0,))
        second = Link(where, nowhere)
        monitor.pump(0.3)
        assert "Does somebody else use user fleet?" in said[0]
        second.close()
        monitor.close()


def test_a_monitor_hears_on_after_the_broker_was_away(tmp_path: Path) -> None:
    port = free_port()
    broker = Mosquitto(tmp_path, port=port)
    broker.start()
    heard: dict[str, bytes] = {}
    said: list[str] = []
    monitor = Monitor(plain(port), heard.__setitem__, said.append, pauses_s=(0.05,))
    monitor.listen([["factory/+/status"], ["factory/+/info"]])
    broker.stop()
    monitor.pump(0.3)
    assert len(said) == 1
    assert "trying again" in said[0]
    broker.start()
    with Subscriber(port) as other:
        other._client.publish("factory/a/status", b"online", 1, retain=True)
        other._client.publish("factory/a/info", b"{}", 1, retain=True)

        def hears() -> bool:
            monitor.pump(0.05)
            return len(heard) == 2

        wait_for(hears, "hears again")
    assert said[1:] == ["connected again"]
    monitor.close()
    broker.stop()
