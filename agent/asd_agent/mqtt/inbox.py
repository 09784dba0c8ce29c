"""What is read from the broker: which topics, how much of them, and what came.

Rules: the thread that owns the connection only leaves messages here, one for each
topic, the newest; other threads take them. So at most one message a topic is held,
and none that is longer than was asked for.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from asd_agent.mqtt.quiet import Quiet

MAX_MEMBER_BYTES = 33_554_432
"""Largest file that comes by MQTT"""
MAX_PLAIN_BYTES = 2_097_152
"""Largest message while no file is asked for"""
SLACK_BYTES = 65_536
"""Header, topic and properties of a packet, beside its content"""
DEAF_S = 300.0
"""Seconds without any subscription after a packet beyond the limit"""


@dataclass(frozen=True, slots=True)
class Want:
    """A topic that is asked for."""

    most_bytes: int
    """A longer message is not taken"""
    ticket: int
    """Rises with every call of `want`: the broker sends what it retains anew"""


class Inbox:
    """Topics that are wanted, and the newest message of each. Thread-safe."""

    def __init__(
        self,
        ring: Callable[[], None] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ignored = 0
        """Messages that nobody asked for, or longer than was asked for"""
        self.oversize = 0
        """Packets whose header claimed more than the limit: they were not read"""
        self._ring = ring
        self._clock = clock
        self._quiet = Quiet(clock)
        self._changed = threading.Condition()
        self._wants: dict[str, Want] = {}
        self._bodies: dict[str, bytes] = {}
        self._tickets = 0
        self._deaf_until_s = -DEAF_S

    def want(self, topic: str, most_bytes: int) -> None:
        """Ask for a topic; what the broker retains there is sent anew."""
        with self._changed:
            self._tickets += 1
            self._wants[topic] = Want(most_bytes, self._tickets)
            self._bodies.pop(topic, None)
        self._ring()

    def unwant(self, topic: str) -> None:
        """Ask no longer; who waits for the topic is let go."""
        with self._changed:
            self._wants.pop(topic, None)
            self._bodies.pop(topic, None)
            self._changed.notify_all()
        self._ring()

    def take(self, topic: str, timeout_s: float | None = None) -> bytes | None:
        """Wait for a message and take it; None: none came, or it is not wanted."""
        with self._changed:
            self._changed.wait_for(
                lambda: topic in self._bodies or topic not in self._wants, timeout_s
            )
            return self._bodies.pop(topic, None)

    def wanted(self) -> dict[str, Want]:
        """Topics to be subscribed to now: none for a while after `refuse`."""
        with self._changed:
            deaf = self._clock() < self._deaf_until_s
            return {} if deaf else dict(self._wants)

    def deliver(self, topic: str, body: bytes) -> None:
        """Leave a message; an empty one takes back what was left before."""
        with self._changed:
            want = self._wants.get(topic)
            if want is None or len(body) > want.most_bytes:
                self.ignored += 1
            elif body:
                self._bodies[topic] = body
                self._changed.notify_all()
            else:
                self._bodies.pop(topic, None)
        if want is not None and len(body) > want.most_bytes:
            text = "MQTT: %s: a message of %d bytes is ignored, at most %d are taken"
            self._quiet.say("long", text, topic, len(body), want.most_bytes)

    def refuse(self, claimed_bytes: int, limit_bytes: int) -> None:
        """Count a packet that was not read, and subscribe to nothing for a while.

        It would come again on every subscription, and decisions could not be sent
        for all the connections that it costs.
        """
        self.oversize += 1
        self._deaf_until_s = self._clock() + DEAF_S
        text = (
            "MQTT: a message of %d bytes is not read, at most %d are: reading nothing "
            "for %d minutes. Take the message off the broker"
        )
        self._quiet.say("oversize", text, claimed_bytes, limit_bytes, DEAF_S / 60)

    def deny(self, topic: str, reason: str) -> None:
        """Say that the broker refuses a subscription."""
        text = "MQTT: the broker refuses to let us read %s: %s. Mend its access rules"
        self._quiet.say("denied", text, topic, reason)
