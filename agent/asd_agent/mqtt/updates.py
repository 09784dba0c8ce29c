"""Hears by MQTT what this device shall run, and tells how far that is."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from asd_agent.errors import BundleError
from asd_agent.mqtt import payloads
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.update.desired import MAX_DESIRED_BYTES, Desired, decode
from asd_agent.update.report import Report

log = logging.getLogger(__name__)

PACE_S = 1.0
"""Seconds between two reports that differ in nothing but how far it is"""
CLOSE_S = 2.0
"""Seconds that `close` waits for a callback under way"""


class Updates:
    """The device's end of ``bundle/desired`` and ``bundle/state``.

    Parameters
    ----------
    publisher
        Owns the connection.
    topics
        Topics of this device.
    on_desired
        Called in a thread of its own with every wish, also with one that was heard
        before: the broker tells it again on every connect. An empty message is none.
    on_unreadable
        Called with what is wrong with a message that holds no wish.
    running
        Tells the bundle that decides now: identifier and version.
    clock_synced
        Tells whether a time server has set the clock.
    """

    def __init__(
        self,
        publisher: Publisher,
        topics: Topics,
        *,
        on_desired: Callable[[Desired], None],
        on_unreadable: Callable[[BundleError], None],
        running: Callable[[], tuple[str, int]],
        clock_synced: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher = publisher
        self._topics = topics
        self._on_desired = on_desired
        self._on_unreadable = on_unreadable
        self._running = running
        self._clock_synced = clock_synced
        self._clock = clock
        self._lock = threading.Lock()
        self._told: Report | None = None
        self._due_s = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)

    def start(self) -> None:
        """Ask for the wish, now and on every connect."""
        self._publisher.inbox.want(self._topics.bundle_desired, MAX_DESIRED_BYTES)
        self._thread.start()

    def close(self) -> None:
        """Hear no more; reports can still be told."""
        self._closing.set()
        self._publisher.inbox.unwant(self._topics.bundle_desired)
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def tell(self, report: Report) -> None:
        """Publish how an update does; mere progress once a second."""
        now_s = self._clock()
        kind = replace(report, bytes=0, windows=0)
        with self._lock:
            if kind == self._told and now_s < self._due_s:
                return
            self._told = kind
            self._due_s = now_s + PACE_S
        payload = payloads.bundle_state(
            report,
            self._topics.device,
            now=datetime.now(timezone.utc),
            running=self._running(),
            clock_synced=self._clock_synced(),
        )
        self._publisher.tell(self._topics.bundle_state, payload)

    def _run(self) -> None:
        inbox = self._publisher.inbox
        while not self._closing.is_set():
            body = inbox.take(self._topics.bundle_desired)
            if body is None:
                continue
            try:
                self._hear(body)
            except Exception:
                # A bug here must not make the device deaf for good.
                log.exception("update: unexpected; the message is left alone")

    def _hear(self, body: bytes) -> None:
        try:
            desired = decode(body)
        except BundleError as error:
            log.warning("%s: %s", self._topics.bundle_desired, error)
            self._on_unreadable(error)
        else:
            self._on_desired(desired)
