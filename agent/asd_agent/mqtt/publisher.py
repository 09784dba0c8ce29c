"""Publishes decisions and never makes scoring wait.

Rules: one thread owns the connection; everybody else only leaves messages.
States, info and health are retained topics whose newest content is published on every
connect. Decisions go through an outbox and are forgotten when acknowledged.
What is read goes to an inbox, from which others take it.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from asd_agent.config import MqttConfig
from asd_agent.mqtt import payloads
from asd_agent.mqtt.courier import Courier
from asd_agent.mqtt.outbox import MemoryOutbox, Outbox
from asd_agent.mqtt.patience import Ended, Patience
from asd_agent.mqtt.quiet import Quiet
from asd_agent.mqtt.security import password, tls_context
from asd_agent.mqtt.topics import Topics
from asd_agent.mqtt.tray import Tray

SPECTRUM_S = 1.0
"""Seconds between two spectra of one source"""


class Publisher:
    """The device's client of the broker.

    Parameters
    ----------
    outbox
        Where decisions wait; None: in memory. It is started and closed here.
    clock
        Seconds by which decisions are paced.
    uniform
        Draws the pauses between attempts to connect.
    """

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
        self._topics = Topics(config.root, device)
        self._clock = clock
        self._quiet = Quiet(clock)
        self._patience = Patience(uniform)
        self._outbox = outbox if outbox is not None else MemoryOutbox()
        self._tray = Tray(self._outbox)
        self._tray.fill(self._topics.status, payloads.ONLINE.encode())
        self._tray.fill(self._topics.info, payloads.encode(info))
        self._lock = threading.Lock()
        self._due_s: dict[str, float] = {}
        self._courier = Courier(
            config,
            self._topics,
            self._tray,
            clock=clock,
            delay_s=self._delay_s,
        )
        self.inbox = self._courier.inbox
        """What is read from the broker"""

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted us."""
        return self._tray.connected

    @property
    def reconnects(self) -> int:
        """Times that the broker has accepted us again."""
        return max(0, self._courier.connects - 1)

    @property
    def waiting(self) -> int:
        """Decisions that the broker has not acknowledged."""
        return self._tray.waiting

    @property
    def dropped(self) -> int:
        """Decisions that were given up: the outbox was full, or they were too old."""
        return self._outbox.dropped

    @property
    def refused(self) -> int:
        """Messages that the broker did not take; only MQTT 5 tells."""
        return self._courier.refused

    @property
    def unheard(self) -> int:
        """Decisions that nobody subscribed to; only MQTT 5 tells."""
        return self._courier.unheard

    @property
    def undurable(self) -> int:
        """Changes of state that were handed over before a disk held them."""
        return self._outbox.undurable

    @property
    def taken_over(self) -> int:
        """Times that another client of our name took our place at the broker."""
        return self._patience.taken_over

    def start(self) -> None:
        """Begin to connect, in the background.

        Raises
        ------
        ConfigError
            The password or a certificate cannot be read.
        """
        password(self._config)
        tls_context(self._config)
        self._outbox.start(self._courier.ring)
        self._courier.start()

    def decision(self, source: str, payload: Mapping[str, Any], changed: bool) -> None:
        """Leave one decision, as `payloads.anomaly` made it.

        One is sent every `interval_s`; a change of state and the first of a
        source are sent at once.
        """
        topic = self._topics.state(source)
        with self._lock:
            due = self._is_due(source, self._config.interval_s)
            changed = changed or not self._tray.has(topic)
            if not (due or changed):
                return
            if changed:
                self._tray.fill(topic, payloads.encode(payloads.state(payload)))
            self._tray.put(payload, changed=changed)
        self._courier.ring()

    def spectrum(self, source: str, payload: Mapping[str, Any]) -> None:
        """Show one spectrum, as `payloads.spectrum` made it: one a second at most.

        It is for people to look at: lost while there is no connection.
        """
        topic = self._topics.spectrum(source)
        with self._lock:
            if not (self.connected and self._is_due(topic, SPECTRUM_S)):
                return
        self._tray.show(topic, payloads.encode(payload))
        self._courier.ring()

    def health(self, payload: Mapping[str, Any]) -> None:
        """Leave how the agent does, as `payloads.health` made it."""
        self.tell(self._topics.health, payload)

    def info(self, payload: Mapping[str, Any]) -> None:
        """Replace what runs here, as `payloads.info` made it."""
        self.tell(self._topics.info, payload)

    def tell(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Leave the newest content of a retained topic; it is sent on every connect."""
        self._tray.fill(topic, payloads.encode(payload))
        self._courier.ring()

    def close(self) -> None:
        """Send what waits, then `offline`, for 2 s; keep the rest, for 2 s more."""
        self._courier.close()
        self._outbox.close()

    def _is_due(self, key: str, interval_s: float) -> bool:
        now_s = self._clock()
        due_s = self._due_s.get(key, now_s)
        if now_s < due_s:
            return False
        # Counting on from the due time keeps the average where windows and
        # interval do not divide; after a pause it starts anew.
        missed = now_s >= due_s + interval_s
        self._due_s[key] = (now_s if missed else due_s) + interval_s
        return True

    def _delay_s(self, ended: Ended) -> float:
        before = self.taken_over
        delay_s = self._patience.delay_s(ended)
        if self.taken_over > before:
            told = "took our place" if ended.taken_over else "seems to take our place"
            text = (
                "MQTT: another client with the name %s %s at the broker again and "
                "again, or an access rule ends the connection. Give every device "
                "a name of its own (device: in its configuration); waiting %.0f s"
            )
            name = self._courier.client_id
            self._quiet.say("rival", text, name, told, delay_s, level=logging.ERROR)
        return delay_s
