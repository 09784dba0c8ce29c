"""Bytes of MQTT: what a broker may send, and what it had better not."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.doctor import packets
from asd_agent.doctor.packets import Nonsense, Packet, unpack

PROTOCOLS: tuple[Literal[5, 4], ...] = (5, 4)


def whole(raw: bytes, protocol: Literal[5, 4] = 5) -> Packet:
    """The packet that the bytes are; all of them."""
    held = bytearray(raw)
    found = unpack(held, protocol)
    assert found is not None
    assert held == b""
    return found


@pytest.mark.parametrize(
    ("raw", "reason", "properties"),
    [
        (b"\x20\x03\x00\x00\x00", 0, {}),
        (b"\x20\x03\x00\x87\x00", 0x87, {}),
        (b"\x20\x06\x00\x00\x03\x21\x00\x14", 0, {"ReceiveMaximum": 20}),
        (
            b"\x20\x0d\x00\x00\x0a\x24\x01\x26\x00\x01a\x00\x02bc",
            0,
            {"MaximumQoS": 1, "UserProperty": [("a", "bc")]},
        ),
        (b"\x20\x02\x00\x01", 1, {}),
    ],
)
def test_an_answer_to_connect(
    raw: bytes, reason: int, properties: dict[str, object]
) -> None:
    found = whole(raw)
    assert (found.kind, found.reason) == (packets.CONNACK, reason)
    assert found.properties == properties


def test_answers_to_messages() -> None:
    assert whole(b"\x40\x02\x01\x02") == Packet(packets.PUBACK, 0x0102)
    assert whole(b"\x50\x03\x00\x07\x87") == Packet(packets.PUBREC, 7, 0x87)
    assert whole(b"\x90\x05\x00\x07\x00\x01\x87").reason == 0x87
    assert whole(b"\x90\x04\x00\x07\x01\x80", 4).reason == 0x80
    assert whole(b"\xe0\x00") == Packet(packets.DISCONNECT)
    assert whole(b"\xe0\x01\x8e").reason == 0x8E


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", [0, 1, 200, 70_000])
@pytest.mark.parametrize("qos", [1, 2])
def test_a_message_there_and_back(
    protocol: Literal[5, 4], size: int, qos: Literal[1, 2]
) -> None:
    body = bytes(size)
    raw = packets.publish("hall/söurce", body, qos, 513, protocol)
    held = bytearray()
    found = None
    for byte in raw:
        assert found is None
        held.append(byte)
        found = unpack(held, protocol)
    assert found == Packet(packets.PUBLISH, 513, topic="hall/söurce", body=body)


def test_connect_says_who_and_nothing_more() -> None:
    raw = packets.connect("asd-x", "press", "sesame", 5)
    assert raw[:10] == b"\x10\x26\x00\x04MQTT\x05\xc2"
    assert raw.endswith(b"\x00\x05asd-x\x00\x05press\x00\x06sesame")
    assert packets.connect("asd-x", None, "sesame", 4).endswith(b"\x00\x05asd-x")
    assert packets.connect("asd-x", "press", None, 4)[9] == 0x82


@pytest.mark.parametrize(
    "raw",
    [
        b"\x20\xff\xff\xff\xff\x01",
        b"\x30\xff\xff\xff\x7f",
        b"\x20\x00",
        b"\x20\x05\x00\x00\x09\x21\x00",
        b"\x20\x04\x00\x00\x01\x99",
        b"\x40\x01\x00",
        b"\x90\x02\x00\x01",
        b"\x32\x04\x00\x09ab",
        b"\x32\x06\x00\x01\xff\x00\x01\x00",
    ],
)
def test_nonsense_is_refused(raw: bytes) -> None:
    with pytest.raises(Nonsense):
        unpack(bytearray(raw), 5)


@given(st.binary(max_size=60), st.sampled_from(PROTOCOLS))
def test_any_bytes_are_a_packet_nonsense_or_not_whole(
    raw: bytes, protocol: Literal[5, 4]
) -> None:
    held = bytearray(raw)
    try:
        found = unpack(held, protocol)
    except Nonsense:
        return
    assert (found is None) == (held == raw)
    if found is not None and found.kind in packets._REASON_AT:
        assert packets.reason_text(found, protocol)
