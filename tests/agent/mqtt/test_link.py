"""One connection against a broker that keeps no rules.

Limits rest on how paho reads a packet: if it reads otherwise one day, these fail.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.mqtt.answers import Ack, HungUp, LinkDown, TakenOver
from asd_agent.mqtt.inbox import (
    MAX_MEMBER_BYTES,
    MAX_PLAIN_BYTES,
    SLACK_BYTES,
    Inbox,
)
from asd_agent.mqtt.limited import PIECE_BYTES, LimitedClient
from asd_agent.mqtt.link import Link, OnAck, Protocol
from support.broker import WAIT_S, wait_for
from support.publishers import plain
from support.raw_broker import CONNACK, Peer, RawBroker, header, publish

LIMIT = MAX_PLAIN_BYTES + SLACK_BYTES
FILE = "factory/bundles/1"
BOTH = pytest.mark.parametrize("protocol", [5, 4])


@contextmanager
def linked(
    broker: RawBroker,
    protocol: Protocol,
    inbox: Inbox | None = None,
    on_ack: OnAck = lambda _: None,
) -> Iterator[Link]:
    link = Link(
        plain(broker.port),
        "asd-press-07",
        "factory/press-07/status",
        protocol,
        on_ack=on_ack,
        inbox=inbox or Inbox(),
    )
    try:
        yield link
    finally:
        link.close()


def pump_until(link: Link, event: threading.Event) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not event.is_set():
        assert time.monotonic() < deadline_s
        link.pump(None, 0.05)


def lost(link: Link) -> str:
    """Why the connection ends, as it must soon."""
    return str(_end(link))


def _end(link: Link) -> LinkDown:
    with pytest.raises(LinkDown) as caught:
        pump_until(link, threading.Event())
    return caught.value


def test_paho_reads_as_the_limit_needs_it() -> None:
    assert LimitedClient._sock_recv is not paho.Client._sock_recv
    assert LimitedClient.__mro__[1] is paho.Client


@BOTH
@pytest.mark.parametrize("claimed", [LIMIT + 1, 268_435_455])
def test_a_packet_beyond_the_limit_is_refused_by_its_header(
    protocol: Protocol, claimed: int
) -> None:
    def script(peer: Peer) -> None:
        peer.send(header(claimed))
        peer.wait_end()  # without a single byte of the body

    inbox = Inbox()
    with RawBroker(script) as broker, linked(broker, protocol, inbox) as link:
        assert "too large" in lost(link)
    assert inbox.oversize == 1
    assert inbox.wanted() == {}


@BOTH
def test_no_byte_of_a_refused_body_is_read(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plainly = paho.Client._sock_recv

    def counting(client: paho.Client, most: int) -> bytes:
        raw = plainly(client, most)
        read.append(len(raw))
        assert most <= PIECE_BYTES
        return raw

    monkeypatch.setattr(paho.Client, "_sock_recv", counting)

    def script(peer: Peer) -> None:
        peer.send(header(100_000_000))
        while True:
            peer.send(bytes(65_536))

    with RawBroker(script) as broker, linked(broker, protocol, Inbox()) as link:
        before = sum(read)
        assert "too large" in lost(link)
    assert 0 < before < 10, "CONNACK"
    assert sum(read) - before == len(header(100_000_000))


@BOTH
def test_a_packet_of_the_limit_is_read(protocol: Protocol) -> None:
    rest = len(publish(FILE, b"", protocol)) - 2
    body = bytes(LIMIT - rest)
    acknowledged = threading.Event()

    def script(peer: Peer) -> None:
        peer.send(publish(FILE, body, protocol))
        peer.expect(0x40)
        acknowledged.set()
        peer.wait_end()

    inbox = Inbox()
    inbox.want(FILE, len(body))
    with RawBroker(script) as broker, linked(broker, protocol, inbox) as link:
        pump_until(link, acknowledged)
    assert inbox.take(FILE, 0) == body


@BOTH
def test_the_limit_follows_what_is_asked_for(protocol: Protocol) -> None:
    """More while a file is wanted, and until the broker knows that it is not."""
    size = 3 * MAX_PLAIN_BYTES
    big = publish(FILE, bytes(size), protocol)
    reached: list[str] = []

    def script(peer: Peer) -> None:
        peer.expect(0x82)
        peer.send(big)
        peer.expect(0x40)
        reached.append("wanted")
        number = peer.expect(0xA2)[:2]
        peer.send(big)
        peer.expect(0x40)
        reached.append("under way")
        body = number + (b"\x00\x00" if protocol == 5 else b"")
        peer.send(header(len(body), 0xB0) + body)
        peer.send(big)
        peer.expect(0x40)
        reached.append("not wanted")

    inbox = Inbox()
    with RawBroker(script) as broker, linked(broker, protocol, inbox) as link:
        inbox.want(FILE, size)
        link.read(inbox.wanted())
        while inbox.take(FILE, 0) is None:
            link.pump(None, 0.05)
        inbox.unwant(FILE)
        link.read(inbox.wanted())
        assert "too large" in lost(link)
    assert reached == ["wanted", "under way"]
    assert (inbox.ignored, inbox.oversize) == (1, 1)


@BOTH
def test_connect_tells_a_broker_of_mqtt_5_what_is_too_much(protocol: Protocol) -> None:
    largest = b"\x27" + (MAX_MEMBER_BYTES + SLACK_BYTES).to_bytes(4, "big")
    with RawBroker(Peer.wait_end) as broker:
        with linked(broker, protocol, Inbox()):
            pass
        assert (largest in broker.peers[0].connect) == (protocol == 5)


@BOTH
def test_topics_are_asked_for_once_and_left_once(protocol: Protocol) -> None:
    packets: list[tuple[int, bytes]] = []
    done = threading.Event()

    def script(peer: Peer) -> None:
        while not done.is_set():
            kind, body = peer.packet()
            packets.append((kind, body[3 if protocol == 5 else 2 :]))
            if len(packets) == 4:
                done.set()
        peer.wait_end()

    inbox = Inbox()
    with RawBroker(script) as broker, linked(broker, protocol, inbox) as link:
        for topic in "aba":
            inbox.want(topic, 10)
            link.read(inbox.wanted())
            link.read(inbox.wanted())
        inbox.unwant("b")
        link.read(inbox.wanted())
        link.read(inbox.wanted())
        pump_until(link, done)
    assert packets == [
        (0x82, b"\x00\x01a\x01"),
        (0x82, b"\x00\x01b\x01"),
        (0x82, b"\x00\x01a\x01"),
        (0xA2, b"\x00\x01b"),
    ]


@BOTH
def test_a_refused_subscription_is_told(
    protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    answered = threading.Event()

    def script(peer: Peer) -> None:
        number = peer.expect(0x82)[:2]
        body = number + (b"\x00\x87" if protocol == 5 else b"\x80")
        peer.send(header(len(body), 0x90) + body)
        peer.send(publish("other", b"x", protocol))
        peer.expect(0x40)
        answered.set()
        peer.wait_end()

    inbox = Inbox()
    inbox.want(FILE, 10)
    with RawBroker(script) as broker, linked(broker, protocol, inbox) as link:
        link.read(inbox.wanted())
        pump_until(link, answered)
    assert f"the broker refuses to let us read {FILE}" in caplog.text
    assert inbox.ignored == 1


@BOTH
def test_a_topic_that_is_no_text_is_ignored(protocol: Protocol) -> None:
    answered = threading.Event()

    def script(peer: Peer) -> None:
        raw = bytearray(publish("abc", b"x", protocol))
        raw[4:7] = b"\xff\xfe\xfd"
        peer.send(bytes(raw))
        peer.expect(0x40)
        answered.set()
        peer.wait_end()

    inbox = Inbox()
    with RawBroker(script) as broker, linked(broker, protocol, inbox) as link:
        pump_until(link, answered)
    assert inbox.ignored == 1


PUBLISH = 0x32
"""First byte of a message of QoS 1"""


def number_of(body: bytes) -> bytes:
    """The number of a PUBLISH, which its acknowledgement repeats."""
    at = 2 + int.from_bytes(body[:2], "big")
    return body[at : at + 2]


@BOTH
def test_what_the_broker_answers_to_a_message_is_told(protocol: Protocol) -> None:
    reasons = [b"", b"\x00", b"\x10", b"\x87"] if protocol == 5 else [b""]
    acks: list[Ack] = []
    done = threading.Event()

    def script(peer: Peer) -> None:
        for reason in reasons:
            body = number_of(peer.expect(PUBLISH)) + reason
            peer.send(header(len(body), 0x40) + body)
        peer.wait_end()

    def on_ack(ack: Ack) -> None:
        acks.append(ack)
        if len(acks) == len(reasons):
            done.set()

    with RawBroker(script) as broker, linked(broker, protocol, on_ack=on_ack) as link:
        sent = [link.publish("a", b"x") for _ in reasons]
        assert link.unacknowledged == set(sent)
        pump_until(link, done)
        assert link.unacknowledged == set()
    assert [ack.number for ack in acks] == sent
    if protocol == 5:
        assert [ack.refusal for ack in acks] == [None, None, None, "Not authorized"]
        assert [ack.unheard for ack in acks] == [False, False, True, False]


def test_the_broker_may_say_that_another_took_our_place() -> None:
    said = b"\xe0\x01\x8e"
    with RawBroker(lambda peer: peer.send(said)) as broker, linked(broker, 5) as link:
        end = _end(link)
    assert isinstance(end, TakenOver)
    assert "Session taken over" in str(end)


def test_another_farewell_is_none_of_that() -> None:
    said = b"\xe0\x01\x8b"
    with RawBroker(lambda peer: peer.send(said)) as broker, linked(broker, 5) as link:
        end = _end(link)
    assert type(end) is LinkDown
    assert "Server shutting down" in str(end)


@BOTH
def test_a_broker_may_hang_up_without_a_word(protocol: Protocol) -> None:
    with RawBroker(lambda _: None) as broker, linked(broker, protocol) as link:
        assert isinstance(_end(link), HungUp)


@BOTH
def test_a_connection_that_was_reset_was_not_hung_up(protocol: Protocol) -> None:
    def script(peer: Peer) -> None:
        at_once = struct.pack("ii", 1, 0)
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    with RawBroker(script) as broker, linked(broker, protocol) as link:
        assert type(_end(link)) is LinkDown


@BOTH
def test_a_message_on_a_lost_connection_is_not_kept_by_paho(protocol: Protocol) -> None:
    """It says that there is no connection, and queues the message nevertheless."""
    sent: list[bytes] = []

    def script(peer: Peer) -> None:
        if len(broker.peers) == 1:
            return
        while True:
            kind, body = peer.packet()
            if kind == PUBLISH:
                sent.append(body)

    with RawBroker(script) as broker:
        with linked(broker, protocol) as link:
            lost(link)
            with pytest.raises(LinkDown):
                link.publish("a", b"first")
            assert len(link._client._out_messages) == 1, "paho's trap is still there"
        with linked(broker, protocol) as link:
            link.publish("a", b"second")
            wait_for(lambda: bool(sent), "the message")
    assert [body[-6:] for body in sent] == [b"second"]


@BOTH
def test_a_lost_connection_without_a_socket_is_just_lost(protocol: Protocol) -> None:
    with RawBroker(lambda _: None) as broker, linked(broker, protocol) as link:
        first = lost(link)
        assert link._client.socket() is None, "paho's trap is still there"
        assert lost(link) == first


def test_a_broker_is_sent_no_more_at_once_than_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CONNACK, 5, b"\x20\x06\x00\x00\x03\x21\x00\x03")
    most, done = 0, threading.Event()

    def script(peer: Peer) -> None:
        nonlocal most
        left = 12
        while left:
            numbers = [number_of(peer.expect(PUBLISH))]
            peer.connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    numbers.append(number_of(peer.expect(PUBLISH)))
            peer.connection.settimeout(10)
            most = max(most, len(numbers))
            left -= len(numbers)
            for number in numbers:
                peer.send(b"\x40\x02" + number)
        done.set()
        peer.wait_end()

    with RawBroker(script) as broker, linked(broker, 5) as link:
        for _ in range(12):
            link.publish("a", b"x")
        pump_until(link, done)
    assert most == 3


KINDS = st.sampled_from([0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x90, 0xB0, 0xD0])
PACKETS = st.tuples(KINDS | st.integers(1, 255), st.binary(max_size=20)).map(
    lambda packet: header(len(packet[1]), packet[0]) + packet[1]
)


@BOTH
def test_whatever_a_broker_sends_only_the_link_goes_down(protocol: Protocol) -> None:
    packets = b""

    @settings(max_examples=200, deadline=None)
    @given(st.lists(PACKETS | st.binary(max_size=6), max_size=4).map(b"".join))
    def only_the_link_goes_down(sent: bytes) -> None:
        nonlocal packets
        packets = sent
        with linked(broker, protocol, Inbox()) as link:
            lost(link)

    with RawBroker(lambda peer: peer.send(packets)) as broker:
        only_the_link_goes_down()
