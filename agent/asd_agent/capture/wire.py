"""What the process that captures writes to the agent: packets on a pipe.

Nothing here needs numpy: the process that captures does without, which saves most
of its memory.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct("<c?IId")
"""Kind, whether there is a gap before it, bytes of the body, samples that were lost
before it, monotonic seconds"""
OPENED = b"o"
"""A stream was opened; body: JSON with `name`, `id` and `rate_hz`"""
SOUND = b"s"
"""Samples of the one channel; body: float32"""
FAILED = b"f"
"""The process ends; body: JSON with `error`, one sentence, and `missing`"""
MAX_BODY_BYTES = 4_194_304
"""A longer packet is none: a second of 192 kHz has 768,000 bytes"""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet."""

    kind: bytes
    body: bytes
    lost: int = 0
    """Samples that were lost before the body"""
    at_s: float = 0.0
    """Monotonic seconds, the same clock in both processes"""
    gap: bool = False
    """Whether the body does not follow the one before"""

    def json(self) -> dict[str, Any]:
        """Body of a packet that is not sound."""
        values: dict[str, Any] = json.loads(self.body)
        return values


def pack(packet: Packet) -> bytes:
    """Write a packet."""
    kind, gap, body = packet.kind, packet.gap, packet.body
    return HEADER.pack(kind, gap, len(body), packet.lost, packet.at_s) + body


def say(kind: bytes, values: Mapping[str, object]) -> bytes:
    """Write a packet that is not sound."""
    return pack(Packet(kind, json.dumps(values).encode()))


def unpack(held: bytearray) -> Packet | None:
    """Take the first whole packet; None: it is not whole yet.

    Raises
    ------
    ValueError
        What is held is no packet.
    """
    if len(held) < HEADER.size:
        return None
    kind, gap, count, lost, at_s = HEADER.unpack_from(held)
    if kind not in (OPENED, SOUND, FAILED) or count > MAX_BODY_BYTES:
        raise ValueError(f"{kind!r} with {count} bytes is no packet")
    past = HEADER.size + count
    if len(held) < past:
        return None
    packet = Packet(kind, bytes(held[HEADER.size : past]), lost, at_s, gap)
    del held[:past]
    return packet
