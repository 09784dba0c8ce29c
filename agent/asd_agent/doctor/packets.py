"""Packets of MQTT 5 and 3.1.1, as bytes and as values: the few that are needed.

A client library answers the broker by itself. Here a message has to be left
unfinished on purpose, see `session`, which none of them offers.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from asd_agent.mqtt.link import NOT_MQTT, Protocol

CONNACK, PUBLISH, PUBACK, PUBREC = 2, 3, 4, 5
SUBACK, DISCONNECT = 9, 14
_REASON_AT = {CONNACK: 1, PUBACK: 2, PUBREC: 2, SUBACK: 2, DISCONNECT: 0}
"""Where the reason stands in the body of an answer, or what comes before it"""
_NUMBERED = {PUBACK, PUBREC, SUBACK}
GOOD_BYE = b"\xe0\x00"
"""DISCONNECT"""
MAX_BYTES = 4_194_304
"""A longer packet is not read"""
_LARGEST = 0x27
"""Property: the largest packet that is taken"""
_OLD_REASONS = {
    1: "Unsupported protocol version",
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}
"""What a broker of 3.1.1 says to CONNECT"""


class Nonsense(Exception):
    """Bytes that are not MQTT."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What the broker sent."""

    kind: int
    """First half of its first byte"""
    number: int = 0
    """Of the message that it answers or is"""
    reason: int = 0
    """Of an answer; the highest of several; 128 and more: refused"""
    topic: str = ""
    body: bytes = b""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """By their names in the standard, without spaces"""


def connect(
    client_id: str, user: str | None, password: str | None, protocol: Protocol
) -> bytes:
    """CONNECT: nothing is left of an earlier session, and no will."""
    flags = 0x02 | (0x80 if user is not None else 0)
    flags |= 0x40 if user is not None and password is not None else 0
    body = _text("MQTT") + bytes([protocol, flags]) + struct.pack(">H", 30)
    if protocol == 5:
        body += b"\x05" + struct.pack(">BI", _LARGEST, MAX_BYTES)
    body += _text(client_id)
    for secret in (user, password if user is not None else None):
        body += _text(secret) if secret is not None else b""
    return _packet(0x10, body)


def publish(
    topic: str, body: bytes, qos: Literal[1, 2], number: int, protocol: Protocol
) -> bytes:
    """PUBLISH, not retained."""
    head = _text(topic) + struct.pack(">H", number)
    return _packet(0x30 | qos << 1, head + _none(protocol) + body)


def subscribe(topic: str, number: int, protocol: Protocol) -> bytes:
    """SUBSCRIBE to one topic, with QoS 1."""
    head = struct.pack(">H", number) + _none(protocol)
    return _packet(0x82, head + _text(topic) + b"\x01")


def puback(number: int) -> bytes:
    """PUBACK: the message has come."""
    return _packet(0x40, struct.pack(">H", number))


def unpack(held: bytearray, protocol: Protocol) -> Packet | None:
    """Take the next packet out of what was read; None: it is not whole yet.

    Raises
    ------
    Nonsense
        It is not MQTT, or longer than `MAX_BYTES`.
    """
    length, shift, at = 0, 0, 1
    while True:
        if len(held) <= at:
            return None
        byte = held[at]
        length |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            break
        if shift > 21:
            raise Nonsense("a length of more than four bytes")
    if length > MAX_BYTES:
        raise Nonsense(f"a packet of {length:,} bytes")
    if len(held) < at + length:
        return None
    first, body = held[0], bytes(held[at : at + length])
    del held[: at + length]
    try:
        return _read(first, body, protocol)
    except NOT_MQTT as error:
        raise Nonsense(f"a broken packet of kind {first >> 4}") from error


def reason_text(packet: Packet, protocol: Protocol) -> str:
    """Name of the reason of an answer, with what the broker adds to it."""
    if protocol == 4 and packet.kind == CONNACK:
        return _OLD_REASONS.get(packet.reason, f"code {packet.reason}")
    try:
        name = str(ReasonCode(packet.kind, identifier=packet.reason))
    except (KeyError, ValueError):  # no reason, or none of this kind of answer
        name = f"code {packet.reason:#04x}"
    why = packet.properties.get("ReasonString")
    return f"{name}: {why}" if why else name


def _read(first: int, body: bytes, protocol: Protocol) -> Packet:
    kind, five = first >> 4, protocol == 5
    if kind == PUBLISH:
        return _published(first, body, protocol)
    if kind not in _REASON_AT:
        return Packet(kind)
    at = _REASON_AT[kind]
    number = struct.unpack_from(">H", body)[0] if kind in _NUMBERED else 0
    if kind == SUBACK:
        found, at = _properties(kind, body, at) if five else ({}, at)
        return Packet(kind, number, max(body[at:]), properties=found)
    told = kind == CONNACK or (five and len(body) > at)
    found = _properties(kind, body, at + 1)[0] if five else {}
    return Packet(kind, number, body[at] if told else 0, properties=found)


def _published(first: int, body: bytes, protocol: Protocol) -> Packet:
    topic, at = _text_at(body, 0)
    number = 0
    if first & 0x06:
        (number,) = struct.unpack_from(">H", body, at)
        at += 2
    if protocol == 5:
        at = _properties(PUBLISH, body, at)[1]
    return Packet(PUBLISH, number, topic=topic, body=body[at:])


def _properties(kind: int, body: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Properties that begin at a place, by name, and where they end."""
    if at >= len(body):
        return {}, at
    found: Any = Properties(kind)  # type: ignore[no-untyped-call]  # paho's own
    _, length = found.unpack(body[at:])
    return dict(found.json()), at + length


def _text_at(body: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">H", body, at)
    end = at + 2 + length
    return body[at + 2 : end].decode("utf-8"), end


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _none(protocol: Protocol) -> bytes:
    """No properties."""
    return b"\x00" if protocol == 5 else b""


def _packet(first: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([first])
    while True:
        length, byte = length >> 7, length & 127
        head.append(byte | (128 if length else 0))
        if not length:
            return bytes(head) + body
