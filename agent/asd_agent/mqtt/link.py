"""One connection to a broker, from CONNECT until it is lost.

A link is used by one thread and for one connection: what a paho client
remembers of a lost connection is thrown away with it, so that only the outbox
decides what is sent again.
"""

import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

# paho 2.1 has one of its own here, later versions the one of `paho.mqtt`.
from paho.mqtt.properties import MQTTException  # type: ignore[attr-defined]

from asd_agent.config import MqttConfig
from asd_agent.mqtt.answers import (
    TAKEN_OVER,
    UNHEARD,
    Ack,
    HungUp,
    LinkDown,
    OtherProtocol,
    TakenOver,
)
from asd_agent.mqtt.inbox import MAX_PLAIN_BYTES, SLACK_BYTES, Inbox, Want
from asd_agent.mqtt.limited import LimitedClient, largest_packet
from asd_agent.mqtt.payloads import OFFLINE
from asd_agent.mqtt.security import password, tls_context, why

CONNECT_S = 5.0
"""Seconds for TCP and TLS, and again for the broker's answer to CONNECT"""
Protocol = Literal[5, 4]
"""MQTT 5 and 3.1.1, as the number in CONNECT"""
NAMES: dict[Protocol, str] = {5: "5", 4: "3.1.1"}
OTHER_PROTOCOL = frozenset(
    {"Malformed packet", "Protocol error", "Unsupported protocol version"}
)
"""Answers to CONNECT of a broker that does not speak the protocol"""
NOT_MQTT = (struct.error, LookupError, ValueError, MQTTException)
"""What paho may raise over bytes that follow no rule"""

OnAck = Callable[[Ack], None]


class Link:
    """An open connection, by which the topics that the inbox wants are read.

    Raises
    ------
    LinkDown
        No connection was made.
    OtherProtocol
        Not with this protocol: the broker said so, hung up or kept silent.
    ConfigError
        A password or certificate cannot be read.
    """

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        status_topic: str,
        protocol: Protocol,
        *,
        on_ack: OnAck,
        inbox: Inbox,
    ) -> None:
        self.unacknowledged: set[int] = set()
        """Numbers of the messages that the broker has not acknowledged"""
        self.protocol = protocol
        self._on_ack = on_ack
        self._inbox = inbox
        self._asked: dict[str, Want] = {}
        self._asking: dict[int, str] = {}
        self._leaving: dict[int, Want] = {}
        self._answer: str | None = None
        self._lost: tuple[type[LinkDown], str] | None = None
        self._client = self._make_client(config, client_id, status_topic)
        try:
            self._client.connect(
                config.host,
                config.port,
                config.keepalive_s,
                properties=largest_packet() if protocol == 5 else None,
            )
        except (OSError, UnicodeError) as error:
            raise LinkDown(why(error)) from error
        self._await_answer()

    def publish(
        self, topic: str, body: bytes, *, qos: Literal[0, 1] = 1, retain: bool = False
    ) -> int:
        """Send a message; its number comes back with `on_ack` if QoS is 1.

        Raises
        ------
        LinkDown
            The connection was lost in sending.
        """
        sent = self._client.publish(topic, body, qos, retain)
        self._sure(sent.rc)
        if qos:
            self.unacknowledged.add(sent.mid)
        return sent.mid

    def pump(self, wake: socket.socket | None, timeout_s: float) -> None:
        """Read and write what there is; return early when `wake` has a byte.

        Raises
        ------
        LinkDown
            The connection is lost.
        """
        connection: Any = self._client.socket()
        if connection is None:
            raise self._down("the broker hung up")
        # TLS may hold bytes that were read already: select() does not see them.
        held = bool(getattr(connection, "pending", lambda: 0)())
        readers = [connection] if wake is None else [connection, wake]
        writers = [connection] if self._client.want_write() else []
        readable, writable, _ = select.select(
            readers, writers, [], 0.0 if held else timeout_s
        )
        if wake in readable and wake is not None:
            wake.recv(4096)
        if held or connection in readable:
            self._read_packets()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()
        if self._client.refused_bytes:
            limit = self._client.limit_bytes
            self._inbox.refuse(self._client.refused_bytes, limit)
            raise LinkDown("we hung up: a message is too large")
        if self._lost is not None:
            raise self._down()

    def read(self, wanted: Mapping[str, Want]) -> None:
        """Be sent these topics from now on, and no others.

        Raises
        ------
        LinkDown
            The connection was lost in asking.
        """
        for topic in [topic for topic in self._asked if topic not in wanted]:
            sent, number = self._client.unsubscribe(topic)
            self._sure(sent)
            self._leaving[number or 0] = self._asked.pop(topic)
        for topic, want in wanted.items():
            if self._asked.get(topic) != want:
                self._asked[topic] = want
                self._limit()
                sent, number = self._client.subscribe(topic, qos=1)
                self._sure(sent)
                self._asking[number or 0] = topic

    def close(self) -> None:
        """Say good-bye, unless something is unacknowledged: then the will speaks."""
        if not self.unacknowledged:
            self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _make_client(
        self, config: MqttConfig, client_id: str, status_topic: str
    ) -> LimitedClient:
        client = LimitedClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion(self.protocol),
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.will_set(status_topic, OFFLINE, qos=1, retain=True)
        client.username_pw_set(config.username, password(config))
        context = tls_context(config)
        if context is not None:
            client.tls_set_context(context)
        client.on_connect = self._answered
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_message = self._received
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        return client

    def _await_answer(self) -> None:
        deadline = time.monotonic() + CONNECT_S
        try:
            while self._answer is None and time.monotonic() < deadline:
                self.pump(None, 0.1)
        except LinkDown as error:
            if self._answer is None:
                raise OtherProtocol(f"no answer to CONNECT: {error}") from error
        if self._answer == "Success":
            return
        self.close()
        if self._answer is None:
            raise OtherProtocol(f"no answer to CONNECT within {CONNECT_S:g} s")
        if self._answer in OTHER_PROTOCOL:
            raise OtherProtocol(self._answer)
        raise LinkDown(f"the broker refuses us: {self._answer}")

    def _answered(
        self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        self._client.respect(properties)
        self._answer = str(reason)

    def _disconnected(
        self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        if self._lost is not None:
            return  # paho tells of a DISCONNECT, then of the closed socket as well
        told = flags.is_disconnect_packet_from_server
        kind = HungUp if self._client.hung_up else LinkDown
        if told:
            kind = TakenOver if reason.value == TAKEN_OVER else LinkDown
        how = "ended by the broker" if told else "lost"
        self._lost = kind, f"the connection was {how}: {reason}"

    def _acknowledged(
        self, _client: Any, _data: Any, number: int, reason: Any, _properties: Any
    ) -> None:
        if number not in self.unacknowledged:
            return  # paho reports messages of QoS 0 as well, once written
        self.unacknowledged.remove(number)
        refusal = str(reason) if reason.is_failure else None
        self._on_ack(Ack(number, refusal, reason.value == UNHEARD))

    def _read_packets(self) -> None:
        try:
            self._client.loop_read()
        except NOT_MQTT as error:
            raise LinkDown(f"the broker sends what is not MQTT: {error}") from error

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # no topic of ours: the inbox counts it as one not asked for
        self._inbox.deliver(topic, bytes(message.payload))

    def _subscribed(
        self, _client: Any, _data: Any, number: int, reasons: Any, _properties: Any
    ) -> None:
        topic = self._asking.pop(number, "")
        for reason in reasons:
            if reason.is_failure:
                self._inbox.deny(topic, str(reason))

    def _unsubscribed(
        self, _client: Any, _data: Any, number: int, _reasons: Any, _properties: Any
    ) -> None:
        # Until now the topic's messages were on their way: the limit held for them.
        self._leaving.pop(number, None)
        self._limit()

    def _limit(self) -> None:
        wants = (*self._asked.values(), *self._leaving.values())
        most = max((want.most_bytes for want in wants), default=0)
        self._client.limit_bytes = max(most, MAX_PLAIN_BYTES) + SLACK_BYTES

    def _sure(self, code: MQTTErrorCode) -> None:
        # paho keeps a message although it says that there is no connection. It is
        # thrown away with this client, so that the outbox alone sends it again.
        if code != paho.MQTT_ERR_SUCCESS:
            raise self._down(paho.error_string(code))

    def _down(self, otherwise: str = "") -> LinkDown:
        kind, text = self._lost or (LinkDown, otherwise)
        return kind(text)
