"""The one thread that owns the connection to the broker, and makes it anew for ever."""

import logging
import socket
import threading
from collections.abc import Callable

from asd_agent.config import MqttConfig
from asd_agent.errors import ConfigError
from asd_agent.mqtt import payloads
from asd_agent.mqtt.answers import Ack, HungUp, LinkDown, OtherProtocol, TakenOver
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.link import NAMES, Link, Protocol
from asd_agent.mqtt.patience import Ended
from asd_agent.mqtt.quiet import Quiet
from asd_agent.mqtt.topics import Topics
from asd_agent.mqtt.tray import Tray

log = logging.getLogger(__name__)

CLOSE_S = 1.5
"""Seconds for the last messages; `close` as a whole takes at most 2"""


class Courier:
    """Carries what lies in the tray to the broker, and what it sends to the inbox.

    Parameters
    ----------
    delay_s
        Says how long to wait before the next attempt to connect.
    """

    def __init__(
        self,
        config: MqttConfig,
        topics: Topics,
        tray: Tray,
        *,
        clock: Callable[[], float],
        delay_s: Callable[[Ended], float],
    ) -> None:
        self.refused = 0
        """Messages that the broker did not take"""
        self.unheard = 0
        """Decisions that nobody subscribed to when they came to the broker"""
        self.connects = 0
        """Times that the broker has accepted us"""
        self.client_id = f"asd-{topics.device}"
        self._config = config
        self._topics = topics
        self._tray = tray
        self._clock = clock
        self._delay_s = delay_s
        self._keys: dict[int, int] = {}
        self._since_s: float | None = None
        self._quiet = Quiet(clock)
        self._closing = threading.Event()
        self._wake, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self.inbox = Inbox(self.ring, clock=clock)
        """What is read from the broker"""
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def ring(self) -> None:
        """Say that something was left; from any thread."""
        try:
            self._bell.send(b"!")
        except OSError:
            # Thousands of rings are not heard yet, or the courier has ended.
            return

    def close(self) -> None:
        """Send what waits, then `offline`; give up after 2 s."""
        self._closing.set()
        self.ring()
        if self._thread.is_alive():
            self._thread.join(2.0)
        self._wake.close()
        self._bell.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._closing.wait(self._delay_s(self._try()))

    def _try(self) -> Ended:
        """Connect and serve until the connection ends; how it ended."""
        self._since_s = None
        taken_over = hung_up = False
        try:
            self._serve(self._connect())
        except (LinkDown, ConfigError) as error:
            # The error itself is not kept: it would hold the socket until later.
            taken_over = isinstance(error, TakenOver)
            hung_up = isinstance(error, HungUp)
            self._tell_down(error)
        except Exception:
            # A bug here must not end publishing for good.
            log.exception("MQTT: unexpected; connecting anew")
        since_s = self._since_s
        lasted_s = None if since_s is None else self._clock() - since_s
        return Ended(lasted_s, taken_over=taken_over, hung_up=hung_up)

    def _connect(self) -> Link:
        """Connect with MQTT 5, or with 3.1.1 where that is not understood."""
        try:
            return self._open(5)
        except OtherProtocol as error:
            log.debug("MQTT 5: %s; trying 3.1.1", error)
        return self._open(4)

    def _open(self, protocol: Protocol) -> Link:
        link = Link(
            self._config,
            self.client_id,
            self._topics.status,
            protocol,
            on_ack=self._acknowledged,
            inbox=self.inbox,
        )
        so = "" if protocol == 5 else ", which cannot say that it refuses a message"
        host = self._config.host
        log.info("MQTT: connected to %s, MQTT %s%s", host, NAMES[protocol], so)
        return link

    def _serve(self, link: Link) -> None:
        if self._closing.is_set():
            link.close()
            return
        self._since_s = self._clock()
        self.connects += 1
        self._tray.connect()
        try:
            while not self._closing.is_set():
                self._flush(link)
                link.read(self.inbox.wanted())
                link.pump(self._wake, self._config.keepalive_s / 4)
            self._farewell(link)
        finally:
            link.close()
            self._keys.clear()
            self._tray.disconnect()

    def _flush(self, link: Link) -> None:
        batch = self._tray.take()
        for topic, body in batch.slots.items():
            link.publish(topic, body, retain=True)
        for topic, body in batch.shown.items():
            link.publish(topic, body, qos=0)
        for row in batch.rows:
            self._keys[link.publish(self._topics.anomaly, row.message)] = row.key

    def _farewell(self, link: Link) -> None:
        deadline_s = self._clock() + CLOSE_S
        while self._tray.waiting and self._clock() < deadline_s - CLOSE_S / 3:
            self._flush(link)
            link.pump(self._wake, 0.05)
        offline = payloads.OFFLINE.encode()
        link.publish(self._topics.status, offline, retain=True)
        while link.unacknowledged and self._clock() < deadline_s:
            link.pump(self._wake, 0.05)

    def _acknowledged(self, ack: Ack) -> None:
        key = self._keys.pop(ack.number, None)
        if key is not None:
            self._tray.done(key)
            self.unheard += ack.unheard
        if ack.refusal is not None:
            self.refused += 1
            own = f"{self._config.root}/{self._topics.device}/#"
            text = "MQTT: the broker refuses messages: %s. Let user %s write to %s"
            self._quiet.say("refused", text, ack.refusal, self._config.username, own)

    def _tell_down(self, error: Exception) -> None:
        where = f"{self._config.host}:{self._config.port}"
        text = "MQTT: %s: %s; trying again, %d messages wait, %d given up"
        waiting, dropped = self._tray.waiting, self._tray.outbox.dropped
        self._quiet.say("link", text, where, str(error), waiting, dropped)
