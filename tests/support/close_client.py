"""An MQTT client for tests that keeps every answer of the broker."""

import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support.broker import WAIT_S, Received

HOST = "localhost"
NOT_AUTHORIZED = 0x87
"""Reason code of MQTT 5"""


class Client:
    """A client that keeps every answer of the broker."""

    def __init__(
        self,
        port: int,
        ca: Path,
        user: str | None,
        password: str | None,
        protocol: int = 5,
        *,
        client_id: str = "",
        clean: bool = True,
        certificate: Path | None = None,
        will: str | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        """Prepare a connection.

        Parameters
        ----------
        ca
            Authority that the broker's certificate must be of.
        user
            None: no name and no password.
        clean
            Whether the session ends with the connection.
        certificate
            Folder of a device that shows one.
        will
            Topic of a last will.
        wait_s
            Seconds that each wait for the broker may last.
        """
        self.messages: list[Received] = []
        self.reason: int | None = None
        """Of the broker's answer to CONNECT; None: it gave none"""
        self.resumed = False
        """Whether the broker had a session for us"""
        self.drops: list[int] = []
        """Reason of each lost connection"""
        self._published: dict[int, int] = {}
        self._granted: set[int] = set()
        self._news = threading.Condition()
        self._wait_s = wait_s
        self._port = port
        self._clean = clean
        self._protocol = protocol
        old = protocol != MQTTProtocolVersion.MQTTv5
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or (user or "nobody"),
            protocol=MQTTProtocolVersion(protocol),
            clean_session=clean if old else None,
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate / "mqtt.pem", certificate / "mqtt.key")
        elif user is not None:
            self._client.username_pw_set(user, password)
        if will:
            self._client.will_set(will, b"will", qos=1)
        self._client.tls_set_context(context)
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = self._on_subscribe

    def connect(self) -> None:
        """Connect, and wait for the broker's answer or for the end of the line.

        Raises
        ------
        OSError
            There is no way through: no TLS, another certificate.
        """
        options: dict[str, Any] = {}
        if self._protocol == MQTTProtocolVersion.MQTTv5:
            lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            lasting.SessionExpiryInterval = 0 if self._clean else 600
            options = {"clean_start": self._clean, "properties": lasting}
        self._client.connect(HOST, self._port, **options)
        self._client.loop_start()
        self.wait_for(lambda: self.reason is not None or bool(self.drops), "CONNACK")

    def send(self, topic: str, body: bytes) -> None:
        """Publish with QoS 1 and wait for nothing."""
        self._client.publish(topic, body, 1)

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1; return the reason code of the acknowledgement."""
        info = self._client.publish(topic, body, 1, retain)
        self.wait_for(lambda: info.mid in self._published, f"PUBACK for {topic}")
        return self._published.pop(info.mid)

    def subscribe(self, topic: str) -> None:
        """Subscribe with QoS 1 and wait for the acknowledgement."""
        self._wait_granted(self._client.subscribe(topic, 1)[1], f"SUBACK for {topic}")

    def unsubscribe(self, topic: str) -> None:
        """Take a subscription back."""
        self._wait_granted(self._client.unsubscribe(topic)[1], f"UNSUBACK for {topic}")

    def bodies(self, topic: str) -> list[bytes]:
        """Contents of what came on one topic, since the last `clear`."""
        return [got.body for got in self.messages if got.topic == topic]

    def wait(self, topic: str, body: bytes) -> None:
        """Wait for a message."""
        what = f"{body[:40]!r} on {topic}"
        self.wait_for(lambda: body in self.bodies(topic), what)

    def clear(self) -> None:
        """Forget what came."""
        self.messages.clear()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
        # paho leaves its sockets to the garbage collector, which may warn.
        self._client._reset_sockets()

    def break_off(self) -> None:
        """Go without a word, so that the broker publishes the will."""
        line = self._client.socket()
        assert isinstance(line, ssl.SSLSocket)
        line.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something holds that the broker's answers change."""
        with self._news:  # polling would make some hundred tests slow
            came = self._news.wait_for(condition, self._wait_s)
        assert came, f"{what}: not within {self._wait_s:g} s; lost: {self.drops}"

    def _wait_granted(self, mid: int | None, what: str) -> None:
        self.wait_for(lambda: mid in self._granted, what)

    def _on_connect(
        self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._news:
            self.resumed = flags.session_present
            self.reason = reason.value
            self._news.notify()

    def _on_disconnect(
        self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any
    ) -> None:
        with self._news:
            self.drops.append(reason.value)
            self._news.notify()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        got = Received(message.topic, message.payload, message.qos, message.retain)
        with self._news:
            self.messages.append(got)
            self._news.notify()

    def _on_publish(
        self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any
    ) -> None:
        with self._news:
            self._published[mid] = reason.value
            self._news.notify()

    def _on_subscribe(
        self, _client: Any, _data: Any, mid: int, _reasons: Any, _properties: Any
    ) -> None:
        with self._news:
            self._granted.add(mid)
            self._news.notify()


def _send_at_once(_client: Any, _data: Any, line: Any) -> None:
    # Else a short message waits 40 ms for the acknowledgement of the one before.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
