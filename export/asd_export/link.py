"""One MQTT 5 connection of a person's tool, from CONNECT until it is lost.

MQTT 5 because only it says that a message was refused. Everything is done by the
caller's thread, in `pump`, so nothing here needs a lock.
"""

import select
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho

from asd_export import client
from asd_export.broker import Access
from asd_export.client import CONNECT_S
from asd_export.errors import BrokerError, LinkDown

WINDOW = 20
"""Messages that the broker has not acknowledged: what it allows by default"""
FENCE = "asd-export/fence"
"""Nobody publishes there, nobody subscribes to it"""
STALL_S = 60.0
"""Seconds without a byte after which a connection is given up"""
SETTLE_S = 0.2
"""Seconds of silence after which no more retained messages are expected"""
KEEPALIVE_S = 30
"""Seconds between signs of life while we only listen"""
SENDING_KEEPALIVE_S = 3600
"""The same while we send: a sign of life waits behind a long message"""
OnMessage = Callable[[str, bytes], object]
"""Called with topic and body of each message"""


class Link:
    """An open connection.

    Raises
    ------
    LinkDown
        No connection was made.
    BrokerError
        The broker refuses us, or does not speak MQTT 5.
    ConfigError
        A password or certificate cannot be read.
    """

    def __init__(
        self, access: Access, on_message: OnMessage, *, sends: bool = False
    ) -> None:
        self.access = access
        self.max_packet_bytes: int | None = None
        """Largest message that the broker says it takes; None: it says nothing"""
        self._on_message = on_message
        self._waiting: dict[int, str] = {}
        self._asking: dict[int, tuple[str, ...]] = {}
        self._window = WINDOW
        self._refused: str | None = None
        self._answer: str | None = None
        self._lost: str | None = None
        self._heard_s = time.monotonic()
        self._client = client.make(access)
        self._client.on_connect = self._answered
        self._client.on_disconnect = self._disconnected
        self._client.on_publish = self._acknowledged
        self._client.on_subscribe = self._subscribed
        self._client.on_unsubscribe = self._subscribed
        self._client.on_message = self._received
        keepalive_s = SENDING_KEEPALIVE_S if sends else KEEPALIVE_S
        try:
            client.connect(self._client, access, keepalive_s)
        except ssl.SSLError as error:
            raise BrokerError(_tls_trouble(access, error)) from error
        except (OSError, UnicodeError) as error:
            raise LinkDown(f"{access.name}: cannot be reached: {error}") from error
        try:
            self._await_answer()
        except BrokerError:
            self.close()
            raise

    @property
    def sent_bytes(self) -> int:
        """Bytes that were handed to the system so far."""
        return self._client.sent_bytes

    def subscribe(self, topics: Sequence[str]) -> None:
        """Listen to topics and hear what is retained there, all of it.

        Raises
        ------
        BrokerError
            The broker does not let us.
        LinkDown
            The connection was lost.
        """
        if topics:
            code, number = self._client.subscribe([(topic, 1) for topic in topics])
            self._check(code)
            self._asking[number or 0] = tuple(topics)
        # Answers come in order: the second after all that the first request brought.
        self.unsubscribe([FENCE])

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Listen to topics no longer.

        Raises
        ------
        LinkDown
            The connection was lost.
        """
        code, number = self._client.unsubscribe(list(topics))
        self._check(code)
        self._asking[number or 0] = ()
        self._wait(lambda: not self._asking)

    def settle(self) -> None:
        """Wait until nothing more comes: some brokers send retained messages late.

        Raises
        ------
        LinkDown
            The connection was lost.
        """
        while time.monotonic() - self._heard_s < SETTLE_S:
            self.pump(SETTLE_S / 4)

    def publish(self, topic: str, body: bytes) -> None:
        """Send a retained message; `flush` waits for the broker's word on it.

        Raises
        ------
        BrokerError
            The broker refused one before.
        LinkDown
            The connection was lost.
        """
        self._wait(lambda: len(self._waiting) < self._window)
        sent = self._client.publish(topic, body, qos=1, retain=True)
        self._check(sent.rc)
        self._waiting[sent.mid] = topic

    def flush(self, told: Callable[[int], None] = lambda _: None) -> None:
        """Wait until the broker has taken every message.

        Parameters
        ----------
        told
            Called now and then with the bytes that were sent so far.

        Raises
        ------
        BrokerError
            The broker refused one.
        LinkDown
            The connection was lost, or nothing moved for `STALL_S`.
        """
        self._wait(lambda: not self._waiting, told)

    def pump(self, timeout_s: float) -> None:
        """Read and write what there is; wait so long if there is nothing.

        Raises
        ------
        BrokerError
            The broker refused a message or a subscription.
        LinkDown
            The connection is lost.
        """
        connection: Any = self._client.socket()
        if connection is None:
            raise LinkDown(self._lost or "the broker hung up")
        # TLS may hold bytes that were read already: select() does not see them.
        held = bool(getattr(connection, "pending", lambda: 0)())
        writers = [connection] if self._client.want_write() else []
        readable, writable, _ = select.select(
            [connection], writers, [], 0.0 if held else timeout_s
        )
        if held or readable:
            self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()
        if self._refused is not None:
            raise BrokerError(self._refused)
        if self._lost is not None:
            raise LinkDown(self._lost)

    def close(self) -> None:
        """Say good-bye."""
        self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _wait(
        self, done: Callable[[], bool], told: Callable[[int], None] = lambda _: None
    ) -> None:
        """Pump until something is done; give up where nothing moves any more."""
        seen, moved_s = (-1, -1), time.monotonic()
        while not done():
            self.pump(0.1)
            told(self.sent_bytes)
            found = (self._client.sent_bytes, self._client.read_bytes)
            if found != seen:
                seen, moved_s = found, time.monotonic()
            elif time.monotonic() - moved_s > STALL_S:
                raise LinkDown(
                    f"{self.access.name}: nothing has moved for {STALL_S:g} s"
                )

    def _await_answer(self) -> None:
        deadline_s = time.monotonic() + CONNECT_S
        try:
            while self._answer is None and time.monotonic() < deadline_s:
                self.pump(0.1)
        except LinkDown:
            if self._answer is None:
                raise LinkDown(
                    f"{self.access.name}: hangs up before it answers. Is it an MQTT 5 "
                    "broker, and does it want TLS (or not)?"
                ) from None
        if self._answer == "Success":
            return
        if self._answer is None:
            raise LinkDown(f"{self.access.name}: no answer within {CONNECT_S:g} s")
        fix = "The tool needs MQTT 5"
        if "rotocol" not in self._answer and "alformed" not in self._answer:
            fix = "Check name and password"
        raise BrokerError(
            f"{self.access.name} refuses {self.access.user}: {self._answer}. {fix}"
        )

    def _answered(
        self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any
    ) -> None:
        self._answer = str(reason)
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self._window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        if not getattr(properties, "RetainAvailable", 1):
            self._refused = (
                f"{self.access.name} keeps no retained messages, which a device that "
                "is off needs. Allow them (mosquitto: retain_available true)"
            )

    def _disconnected(
        self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any
    ) -> None:
        told = flags.is_disconnect_packet_from_server
        how = "ended by the broker" if told else "lost"
        # paho tells of the broker's DISCONNECT, then of the closed socket as well.
        name = self.access.name
        self._lost = self._lost or f"{name}: the connection was {how}: {reason}"
        if str(reason) == "Session taken over":
            self._refused = (
                f"{name}: somebody else connected as {self.access.user}, and the "
                "broker allows one of a name. Give each person or screen its own user"
            )

    def _acknowledged(
        self, _client: Any, _data: Any, number: int, reason: Any, _properties: Any
    ) -> None:
        topic = self._waiting.pop(number, None)
        if topic is not None and reason.is_failure:
            self._refused = (
                f"{self.access.name} does not let {self.access.user} write to {topic}: "
                f"{reason}. Allow it in the broker's access rules"
            )

    def _subscribed(
        self, _client: Any, _data: Any, number: int, reasons: Any, _properties: Any
    ) -> None:
        for topic, reason in zip(self._asking.pop(number, ()), reasons, strict=False):
            if reason.is_failure:
                self._refused = (
                    f"{self.access.name} does not let {self.access.user} read {topic}: "
                    f"{reason}. Allow it in the broker's access rules"
                )

    def _received(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._heard_s = time.monotonic()
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours
        self._on_message(topic, bytes(message.payload))

    def _check(self, code: int) -> None:
        if code != paho.MQTT_ERR_SUCCESS:
            raise LinkDown(self._lost or paho.error_string(code))


def _tls_trouble(access: Access, error: ssl.SSLError) -> str:
    return (
        f"{access.name}: no safe connection: {error.reason or error}. The certificate "
        "of the broker must be made for this host name by an authority that --ca names"
    )
