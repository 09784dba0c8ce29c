"""One connection against a broker that keeps no rules.

Limits rest on how paho reads a packet: if it reads otherwise one day, these fail.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import paho.mqtt.client as paho
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.mqtt.inbox import (
    MAX_MEMBER_BYTES,
    MAX_PLAIN_BYTES,
    SLACK_BYTES,
    Inbox,
)
from asd_agent.mqtt.limited import PIECE_BYTES, LimitedClient
from asd_agent.mqtt.link import Link, LinkDown, Protocol
from support.broker import WAIT_S
from support.publishers import plain
from support.raw_broker import Peer, RawBroker, header, publish

LIMIT = MAX_PLAIN_BYTES + SLACK_BYTES
FILE = "factory/bundles/1"
BOTH = pytest.mark.parametrize("protocol", [5, 4])


@contextmanager
def linked(broker: RawBroker, protocol: Protocol, inbox: Inbox) -> Iterator[Link]:
    link = Link(
        plain(broker.port),
        "asd-press-07",
        "factory/press-07/status",
        protocol,
        on_ack=lambda number, refusal: None,
        inbox=inbox,
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
    with pytest.raises(LinkDown) as caught:
        pump_until(link, threading.Event())
    return str(caught.value)


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
