"""A paho client as the exporter wants it: MQTT 5, a fresh session, byte counts."""

import ssl

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from asd_agent.mqtt.security import tls_context
from asd_export.broker import Access

CONNECT_S = 10.0
"""Seconds for TCP and TLS, and again for the broker's answer to CONNECT"""
MAX_PACKET_BYTES = 40 * 1_048_576
"""Largest message that we let a broker send: a file of a bundle has at most 32 MiB"""
RECEIVE_MAXIMUM = 65_535
"""Messages that the broker may send ahead: else it holds back all but 20, and what
does not fit in its queue (1000 messages) is lost without a word"""


class Client(paho.Client):
    """Counts bytes, so that long messages can be seen to go and to come."""

    sent_bytes = 0
    """Bytes that were handed to the system so far"""
    read_bytes = 0
    """Bytes that came so far"""

    def _sock_send(self, buf: bytes | bytearray) -> int:
        sent = super()._sock_send(buf)
        self.sent_bytes += sent
        return sent

    def _sock_recv(self, bufsize: int) -> bytes:
        piece = super()._sock_recv(bufsize)
        self.read_bytes += len(piece)
        return piece


class _Socket(ssl.SSLSocket):
    """Closes itself where no safe connection is made; paho does not."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def make(access: Access) -> Client:
    """Make a client that is not connected yet.

    Raises
    ------
    ConfigError
        A password or certificate cannot be read.
    """
    client = Client(
        CallbackAPIVersion.VERSION2,
        protocol=MQTTProtocolVersion.MQTTv5,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_S
    client.username_pw_set(access.config.username, access.password())
    context = tls_context(access.config)
    if context is not None:
        context.sslsocket_class = _Socket
        client.tls_set_context(context)
    return client


def connect(client: Client, access: Access, keepalive_s: int) -> None:
    """Connect and say what we take; the answer comes later.

    Raises
    ------
    OSError
        No connection was made.
    """
    wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
    wishes.ReceiveMaximum = RECEIVE_MAXIMUM
    wishes.MaximumPacketSize = MAX_PACKET_BYTES
    config = access.config
    client.connect(config.host, config.port, keepalive_s, properties=wishes)
