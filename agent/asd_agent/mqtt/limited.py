"""A paho client that keeps limits: its own for reading, the broker's for sending."""

from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from asd_agent.mqtt.inbox import MAX_MEMBER_BYTES, MAX_PLAIN_BYTES, SLACK_BYTES

PIECE_BYTES = 65_536
"""Read so much of a packet at a time"""


class LimitedClient(paho.Client):
    """Hangs up where the header of a packet claims more than `limit_bytes`.

    paho has no such limit. It asks `_sock_recv` for all that is left of a packet as
    soon as it knows the length: there, before the first byte, is the place to refuse.
    """

    limit_bytes = MAX_PLAIN_BYTES + SLACK_BYTES
    refused_bytes = 0
    """Length of the packet that was refused; 0: none"""
    hung_up = False
    """Whether the other side has ended the connection in an orderly way"""

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > self.limit_bytes:
            self.refused_bytes = bufsize
            raise ConnectionAbortedError("the packet is too large")
        raw = super()._sock_recv(min(bufsize, PIECE_BYTES))
        self.hung_up = self.hung_up or not raw
        return raw

    def respect(self, properties: Any) -> None:
        """Have no more messages under way than a broker of MQTT 5 says that it takes.

        paho does not read it, and such a broker hangs up.
        """
        most = getattr(properties, "ReceiveMaximum", self._max_inflight_messages)
        self._max_inflight_messages = max(1, min(most, self._max_inflight_messages))


def largest_packet() -> Properties:
    """Tell a broker with CONNECT what it should keep to itself; MQTT 5 only.

    It cannot be changed later, so it leaves room for the files of a bundle.
    """
    properties: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = MAX_MEMBER_BYTES + SLACK_BYTES
    return properties  # type: ignore[no-any-return]
