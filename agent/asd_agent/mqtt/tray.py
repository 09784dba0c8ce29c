"""What is left for the broker, until the thread that owns the connection takes it.

Rules: of a retained topic only the newest content counts, and all of them are sent
again on every connect; what people look at is lost while there is no connection;
decisions go through an outbox and are forgotten when acknowledged. Thread-safe.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.mqtt.outbox import Outbox
from asd_agent.mqtt.row import Row


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be sent now."""

    slots: Mapping[str, bytes]
    """Retained topics"""
    shown: Mapping[str, bytes]
    """Topics that are sent once, without an acknowledgement"""
    rows: list[Row]
    """Decisions"""


class Tray:
    """Messages of all kinds."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.connected = False
        """Whether the broker has accepted us"""
        self._lock = threading.Lock()
        self._slots: dict[str, bytes] = {}
        self._fresh: dict[str, None] = {}
        self._shown: dict[str, bytes] = {}
        self._seq = 0

    @property
    def waiting(self) -> int:
        """Decisions that are not acknowledged."""
        with self._lock:
            return len(self.outbox)

    def has(self, topic: str) -> bool:
        """Whether a retained topic has any content."""
        return topic in self._slots

    def fill(self, topic: str, body: bytes) -> None:
        """Leave the newest content of a retained topic."""
        with self._lock:
            self._slots[topic] = body
            self._fresh[topic] = None

    def show(self, topic: str, body: bytes) -> None:
        """Leave what is lost while there is no connection."""
        with self._lock:
            if self.connected:
                self._shown[topic] = body

    def put(self, payload: Mapping[str, Any], *, changed: bool) -> None:
        """Leave a decision; it gets the next number."""
        with self._lock:
            self._seq += 1
            numbered = {**payload, "seq": self._seq}
            self.outbox.put(numbered, changed=changed, late=not self.connected)

    def connect(self) -> None:
        """Let every retained topic be sent, and everything that waits."""
        with self._lock:
            self.connected = True
            self._fresh = dict.fromkeys(self._slots)

    def disconnect(self) -> None:
        """Let everything that is not acknowledged be sent again."""
        with self._lock:
            self.connected = False
            self._shown.clear()
            self.outbox.rewind()

    def take(self) -> Batch:
        """What is to be sent now."""
        with self._lock:
            slots = {topic: self._slots[topic] for topic in self._fresh}
            self._fresh.clear()
            shown, self._shown = self._shown, {}
            return Batch(slots, shown, self.outbox.take())

    def done(self, key: int) -> None:
        """Forget a decision that the broker has answered."""
        with self._lock:
            self.outbox.done(key)
