"""One conversation with a broker: CONNECT, a subscription, messages, DISCONNECT.

Nothing that anybody else reads is changed. A message of QoS 2 is published in two
steps, and a broker that keeps to the order delivers it with the second, PUBREL. What
this leaves out: the answer to the first already says whether the message is allowed.
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from asd_agent.doctor import packets
from asd_agent.doctor.packets import Packet
from asd_agent.mqtt.link import Protocol

ANSWER_S = 5.0
"""Seconds that an answer of the broker may take"""
_PIECE = 65_536


class Ended(Exception):
    """The broker hung up, says nothing, or nothing that can be understood."""


class Session:
    """A connection on which MQTT is spoken.

    Parameters
    ----------
    connection
        Open, with TLS if there is any; closed with the session.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        connection: socket.socket,
        protocol: Protocol,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.protocol = protocol
        self.messages: list[Packet] = []
        """What came on subscribed topics"""
        self._connection = connection
        self._clock = clock
        self._held = bytearray()
        self._numbers = 0

    def login(self, client_id: str, user: str | None, password: str | None) -> Packet:
        """Say who we are; the answer may be a refusal.

        Raises
        ------
        Ended
            There is no answer.
        """
        self._send(packets.connect(client_id, user, password, self.protocol))
        return self._answer(packets.CONNACK, 0)

    def subscribe(self, topic: str) -> Packet:
        """Ask for a topic.

        Raises
        ------
        Ended
            There is no answer.
        """
        number = self._number()
        self._send(packets.subscribe(topic, number, self.protocol))
        return self._answer(packets.SUBACK, number)

    def publish(self, topic: str, body: bytes) -> Packet:
        """Publish a message with QoS 1, not retained.

        Raises
        ------
        Ended
            There is no answer.
        """
        number = self._number()
        self._send(packets.publish(topic, body, 1, number, self.protocol))
        return self._answer(packets.PUBACK, number)

    def begin(self, topic: str, body: bytes) -> Packet:
        """Publish with QoS 2 and never release it: a strict broker delivers nothing.

        Raises
        ------
        Ended
            There is no answer.
        """
        number = self._number()
        self._send(packets.publish(topic, body, 2, number, self.protocol))
        return self._answer(packets.PUBREC, number)

    def wait(self, topic: str, body: bytes, timeout_s: float | None = None) -> bool:
        """Wait for a message; say whether it came in time, else that of an answer.

        Raises
        ------
        Ended
            The connection was lost.
        """
        deadline_s = self._clock() + (ANSWER_S if timeout_s is None else timeout_s)
        while not self.has(topic, body):
            packet = self._next(deadline_s)
            if packet is None:
                return False
        return True

    def listen(self, seconds: float) -> None:
        """Take what comes for so long.

        Raises
        ------
        Ended
            The connection was lost.
        """
        deadline_s = self._clock() + seconds
        while self._next(deadline_s) is not None:
            pass

    def has(self, topic: str, body: bytes) -> bool:
        """Whether a message has come."""
        return any(m.topic == topic and m.body == body for m in self.messages)

    def close(self) -> None:
        """Say good-bye, and hang up."""
        with suppress(OSError):
            self._connection.sendall(packets.GOOD_BYE)
        self._connection.close()

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _send(self, raw: bytes) -> None:
        try:
            self._connection.settimeout(ANSWER_S)
            self._connection.sendall(raw)
        except OSError as error:
            raise Ended(_why(error)) from error

    def _answer(self, kind: int, number: int) -> Packet:
        deadline_s = self._clock() + ANSWER_S
        while True:
            packet = self._next(deadline_s)
            if packet is None:
                raise Ended(f"no answer within {ANSWER_S:g} s")
            if packet.kind == kind and packet.number == number:
                return packet

    def _next(self, deadline_s: float) -> Packet | None:
        """The next packet; None: there was none in time. Messages are kept."""
        while True:
            try:
                packet = packets.unpack(self._held, self.protocol)
            except packets.Nonsense as error:
                raise Ended(f"the broker sends what is not MQTT: {error}") from error
            if packet is not None:
                break
            if not self._read(deadline_s - self._clock()):
                return None
        if packet.kind == packets.DISCONNECT:
            reason = packets.reason_text(packet, self.protocol)
            raise Ended(f"the broker ended the connection: {reason}")
        if packet.kind == packets.PUBLISH:
            self.messages.append(packet)
            if packet.number:
                self._send(packets.puback(packet.number))
        return packet

    def _read(self, left_s: float) -> bool:
        if left_s <= 0:
            return False
        try:
            self._connection.settimeout(left_s)
            part = self._connection.recv(_PIECE)
        except TimeoutError:
            return False
        except OSError as error:
            raise Ended(_why(error)) from error
        if not part:
            raise Ended("the broker hung up")
        self._held += part
        return True


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return "the broker hung up"
    if isinstance(error, ssl.SSLError) and error.reason:
        # Such as TLSV13_ALERT_CERTIFICATE_REQUIRED, which comes with the first read.
        return f"the broker hung up: {error.reason.replace('_', ' ').lower()}"
    return f"the connection was lost: {error.strerror or error}"
