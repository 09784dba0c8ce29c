"""Publishes decisions and never makes scoring wait.

Rules: one thread owns the connection; everybody else only leaves messages.
States, info and health are slots whose newest content is published on every
connect. Decisions go through an outbox and are forgotten when acknowledged.
What is read goes to an inbox, from which others take it.
"""

import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from asd_agent.config import MqttConfig
from asd_agent.errors import ConfigError
from asd_agent.mqtt import payloads
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.link import NAMES, Link, LinkDown, OtherProtocol, Protocol
from asd_agent.mqtt.outbox import MemoryOutbox, Outbox, Row
from asd_agent.mqtt.quiet import Quiet
from asd_agent.mqtt.security import password, tls_context
from asd_agent.mqtt.topics import Topics

log = logging.getLogger(__name__)

MAX_DELAY_S = 60.0
"""Most seconds between two attempts to connect"""
STEADY_S = 30.0
"""A connection that lasts so many seconds makes the next attempt a quick one"""
SPECTRUM_S = 1.0
"""Seconds between two spectra of one source"""
CLOSE_S = 1.5
"""Seconds for the last messages; `close` as a whole takes at most 2"""


class Publisher:
    """The device's client of the broker."""

    def __init__(
        self,
        config: MqttConfig,
        device: str,
        info: Mapping[str, object],
        *,
        outbox: Outbox | None = None,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._config = config
        self._client_id = f"asd-{device}"
        self._topics = Topics(config.root, device)
        self._clock = clock
        self._uniform = uniform
        self._lock = threading.Lock()
        self._outbox = outbox if outbox is not None else MemoryOutbox()
        self._slots = {
            self._topics.status: payloads.ONLINE.encode(),
            self._topics.info: payloads.encode(info),
        }
        self._fresh: dict[str, None] = {}
        self._shown: dict[str, bytes] = {}
        self._due_s: dict[str, float] = {}
        self._seq = 0
        self._refused = 0
        self._keys: dict[int, int] = {}
        self._quiet = Quiet(clock)
        self._connected = False
        self._closing = threading.Event()
        self._wake, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self.inbox = Inbox(self._ring, clock=clock)
        """What is read from the broker"""
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._connected

    @property
    def dropped(self) -> int:
        """Decisions that were given up: the outbox was full or the broker refused."""
        with self._lock:
            return self._outbox.dropped + self._refused

    @property
    def waiting(self) -> int:
        """Decisions that the broker has not acknowledged."""
        with self._lock:
            return len(self._outbox)

    def start(self) -> None:
        """Begin to connect, in the background.

        Raises
        ------
        ConfigError
            The password or a certificate cannot be read.
        """
        password(self._config)
        tls_context(self._config)
        self._thread.start()

    def decision(self, source: str, payload: Mapping[str, Any], changed: bool) -> None:
        """Leave one decision, as `payloads.anomaly` made it.

        One is sent every `interval_s`; a change of state and the first of a
        source are sent at once.
        """
        now_s = self._clock()
        with self._lock:
            topic = self._topics.state(source)
            changed = changed or topic not in self._slots
            if not (self._is_due(source, self._config.interval_s, now_s) or changed):
                return
            if changed:
                self._fill(topic, payloads.state(payload))
            self._seq += 1
            numbered = {**payload, "seq": self._seq}
            self._outbox.put(numbered, changed=changed, late=not self._connected)
        self._ring()

    def spectrum(self, source: str, payload: Mapping[str, Any]) -> None:
        """Show one spectrum, as `payloads.spectrum` made it: one a second at most.

        It is for people to look at: lost while there is no connection.
        """
        topic = self._topics.spectrum(source)
        with self._lock:
            if not self._connected:
                return
            if not self._is_due(topic, SPECTRUM_S, self._clock()):
                return
            self._shown[topic] = payloads.encode(payload)
        self._ring()

    def health(self, payload: Mapping[str, Any]) -> None:
        """Leave how the agent does, as `payloads.health` made it."""
        self.tell(self._topics.health, payload)

    def info(self, payload: Mapping[str, Any]) -> None:
        """Replace what runs here, as `payloads.info` made it."""
        self.tell(self._topics.info, payload)

    def tell(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Leave the newest content of a retained topic; it is sent on every connect."""
        with self._lock:
            self._fill(topic, payload)
        self._ring()

    def close(self) -> None:
        """Send what waits, then `offline`; give up after 2 s."""
        self._closing.set()
        self._ring()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._wake.close()
        self._bell.close()

    def _is_due(self, key: str, interval_s: float, now_s: float) -> bool:
        due_s = self._due_s.get(key, now_s)
        if now_s < due_s:
            return False
        # Counting on from the due time keeps the average where windows and
        # interval do not divide; after a pause it starts anew.
        missed = now_s >= due_s + interval_s
        self._due_s[key] = (now_s if missed else due_s) + interval_s
        return True

    def _fill(self, topic: str, payload: Mapping[str, Any]) -> None:
        self._slots[topic] = payloads.encode(payload)
        self._fresh[topic] = None

    def _ring(self) -> None:
        try:
            self._bell.send(b"!")
        except OSError:
            # Thousands of rings are not heard yet, or the publisher is closed.
            return

    def _run(self) -> None:
        failures = 0
        while not self._closing.is_set():
            began_s = self._clock()
            try:
                self._serve(self._connect())
            except (LinkDown, ConfigError) as error:
                self._tell_down(error)
            except Exception:
                # A bug here must not end publishing for good.
                log.exception("MQTT: unexpected; connecting anew")
            steady = self._clock() - began_s >= STEADY_S
            failures = 0 if steady else failures + 1
            self._closing.wait(self._delay_s(failures))

    def _delay_s(self, failures: int) -> float:
        return self._uniform(0.0, min(MAX_DELAY_S, 2.0 ** min(failures, 6)))

    def _connect(self) -> Link:
        """Connect with MQTT 5, or with 3.1.1 where that is not understood."""
        try:
            return self._open(5)
        except OtherProtocol as error:
            log.debug("MQTT 5: %s; trying 3.1.1", error)
        return self._open(4)

    def _open(self, protocol: Protocol) -> Link:
        status = self._topics.status
        link = Link(
            self._config,
            self._client_id,
            status,
            protocol,
            on_ack=self._acknowledged,
            inbox=self.inbox,
        )
        log.info("MQTT: connected to %s, MQTT %s", self._config.host, NAMES[protocol])
        return link

    def _serve(self, link: Link) -> None:
        if self._closing.is_set():
            link.close()
            return
        with self._lock:
            self._connected = True
            self._fresh = dict.fromkeys(self._slots)
        try:
            while not self._closing.is_set():
                self._flush(link)
                link.read(self.inbox.wanted())
                link.pump(self._wake, self._config.keepalive_s / 4)
            self._farewell(link)
        finally:
            link.close()
            with self._lock:
                self._connected = False
                self._keys.clear()
                self._outbox.rewind()

    def _flush(self, link: Link) -> None:
        slots, shown, rows = self._take()
        for topic, body in slots.items():
            link.publish(topic, body, retain=True)
        for topic, body in shown.items():
            link.publish(topic, body, qos=0)
        for row in rows:
            body = payloads.encode({**row.payload, "replayed": row.late})
            number = link.publish(self._topics.anomaly, body)
            self._keys[number] = row.key

    def _take(self) -> tuple[dict[str, bytes], dict[str, bytes], list[Row]]:
        with self._lock:
            slots = {topic: self._slots[topic] for topic in self._fresh}
            self._fresh.clear()
            shown, self._shown = self._shown, {}
            return slots, shown, self._outbox.take()

    def _farewell(self, link: Link) -> None:
        deadline_s = self._clock() + CLOSE_S
        while self.waiting and self._clock() < deadline_s - CLOSE_S / 3:
            self._flush(link)
            link.pump(self._wake, 0.05)
        offline = payloads.OFFLINE.encode()
        link.publish(self._topics.status, offline, retain=True)
        while link.unacknowledged and self._clock() < deadline_s:
            link.pump(self._wake, 0.05)

    def _acknowledged(self, number: int, refusal: str | None) -> None:
        key = self._keys.pop(number, None)
        with self._lock:
            if key is not None:
                self._outbox.done(key)
                self._refused += refusal is not None
        if refusal is not None:
            own = f"{self._config.root}/{self._topics.device}/#"
            text = "MQTT: the broker refuses messages: %s. Let user %s write to %s"
            self._quiet.say("refused", text, refusal, self._config.username, own)

    def _tell_down(self, error: Exception) -> None:
        where = f"{self._config.host}:{self._config.port}"
        text = "MQTT: %s: %s; trying again, %d messages wait, %d given up"
        self._quiet.say("link", text, where, str(error), self.waiting, self.dropped)
