"""The running agent: a worker a source and one publisher, until told to stop."""

import logging
import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timezone

from asd_agent import __version__, alone, updating
from asd_agent.clips import Clips
from asd_agent.config import Config, SourceConfig
from asd_agent.ear import Ear
from asd_agent.health.metrics import Metrics
from asd_agent.ledger import FOLDER, Ledger
from asd_agent.mqtt import condition, payloads
from asd_agent.mqtt.disk_outbox import open_outbox
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.notify import Notifier
from asd_agent.opening import Opened, Opening, open_first
from asd_agent.outlets import Outlets
from asd_agent.remote import Remote
from asd_agent.setup import check_state_dir, store_of
from asd_agent.switchover import Switchover
from asd_agent.update.book import Book
from asd_agent.update.report import Report
from asd_agent.vitals import Vitals
from asd_agent.watchdog import Watchdog
from asd_agent.worker import Worker

log = logging.getLogger(__name__)

HEALTH_S = 60.0
"""Seconds from one health message to the next"""
SAVE_S = 300.0
"""Seconds of coverage that a loss of power may cost"""
POLL_S = 0.2
"""Seconds between two looks at the workers and at what shall run"""


class Service:
    """Everything that one configuration names, opened and checked.

    Parameters
    ----------
    restart
        Begins this process anew, where a source's thread hangs.
    notifier
        Tells who watches this process.

    Raises
    ------
    AsdError
        The bundle, a site, the state folder or a secret cannot be used.
    """

    def __init__(
        self,
        config: Config,
        restart: Callable[[], None] = updating.restart,
        notifier: Notifier | None = None,
    ) -> None:
        check_state_dir(config.state_dir, strict=False)
        self._lock = alone.hold(config.state_dir)
        self._config = config
        self._restart = restart
        self._notifier = notifier or Notifier()
        self._boot_id = uuid.uuid4().hex
        self._started = datetime.now(timezone.utc)
        self._stop = threading.Event()
        self._store = store_of(config)
        book = Book(self._store)
        opened = open_first(config, self._store, book, restart)
        self._ledger = Ledger(config.state_dir / FOLDER)
        self._clips = Clips(config.state_dir / "clips", config.clips)
        self._publisher = self._make_publisher(opened)
        outlets = Outlets(
            config.device, self._boot_id, self._publisher, self._clips, self._ledger
        )
        self._workers = [
            self._worker(source, ear, outlets)
            for source, ear in zip(config.sources, opened.ears, strict=True)
        ]
        self._switchover = self._make_switchover(book, opened)
        self._vitals = Vitals(
            config.state_dir,
            self._workers,
            self._publisher,
            self._clips,
            running=self._running,
        )
        self._watchdog = Watchdog(self._notifier, self._workers)
        self._metrics = (
            Metrics(config.metrics, self._vitals.read) if config.metrics else None
        )
        self._remote = self._make_remote()

    def stop(self) -> None:
        """Ask the service to end; safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Listen until `stop`, or until every recording has ended.

        Raises
        ------
        AsdError
            A worker met an error that it cannot get over by itself.
        """
        if self._publisher and self._remote:
            self._publisher.start()
            self._remote.start()
        if self._metrics:
            self._metrics.start()
        self._clips.start()
        for worker in self._workers:
            worker.start()
        log.info("ready")
        self._notifier.ready(f"listening to {len(self._workers)} sources")
        try:
            self._watch()
        finally:
            self._close()
        for worker in self._workers:
            if worker.error is not None:
                raise worker.error

    def _watch(self) -> None:
        health_due_s = save_due_s = 0.0
        degraded = False
        # A bundle that the configuration names stays, whatever the store says.
        follows = self._config.bundle.path is None
        if follows:
            self._switchover.begin()
        while not self._stop.wait(POLL_S):
            alive = any(worker.is_alive() for worker in self._workers)
            ended = not alive or any(worker.error for worker in self._workers)
            if follows:  # after the errors are read: they may end a trial
                self._switchover.look()
            if ended:
                return
            self._mind_the_hanging()
            now_s = time.monotonic()
            if now_s >= save_due_s:
                save_due_s = now_s + SAVE_S
                self._ledger.save()
            before, degraded = degraded, self._degraded
            if now_s >= health_due_s or degraded != before:
                health_due_s = now_s + HEALTH_S
                self._tell_health()

    @property
    def _degraded(self) -> bool:
        return any(worker.load.degraded for worker in self._workers)

    def _mind_the_hanging(self) -> None:
        """Begin anew where a thread hangs: it cannot be stopped, only left."""
        hanging = self._watchdog.look()
        if hanging:
            log.error("%s: hangs; the agent begins anew", ", ".join(hanging))
            self._ledger.save()
            self._begin_anew()

    def _close(self) -> None:
        self._notifier.stopping()
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(timeout=2)
        self._clips.close()
        self._ledger.save()
        if self._metrics:
            self._metrics.close()
        if self._publisher and self._remote:
            self._remote.close()
            self._publisher.close()
        if self._lock is not None:
            os.close(self._lock)

    def _begin_anew(self) -> None:
        """Send what waits, then begin this process anew; a worker may hang."""
        if self._publisher:
            self._publisher.close()
        self._notifier.alive()  # the watchdog counts on while models are loaded anew
        self._restart()

    def _make_publisher(self, opened: Opened) -> Publisher | None:
        config = self._config
        if config.mqtt is None:
            return None
        outbox = open_outbox(config.state_dir, config.mqtt.outbox)
        info = self._info(opened)
        return Publisher(config.mqtt, config.device, info, outbox=outbox)

    def _make_remote(self) -> Remote | None:
        if self._config.mqtt is None or self._publisher is None:
            return None
        return Remote(
            self._config,
            self._config.mqtt,
            self._store,
            self._publisher,
            running=self._running,
            progress=self._progress,
        )

    def _make_switchover(self, book: Book, opened: Opened) -> Switchover:
        config, store = self._config, self._store
        return Switchover(
            book,
            opened,
            self._workers,
            config.bundle.commit_windows,
            opening=lambda key: Opening(config, store, key),
            report=self._report,
            switched=self._tell_info,
            tidy=lambda: updating.tidy(config, store),
            restart=self._begin_anew,
        )

    def _worker(self, source: SourceConfig, ear: Ear, outlets: Outlets) -> Worker:
        return Worker(
            self._config,
            source,
            ear,
            outlets.emit,
            cover=self._ledger.add,
            hear=outlets.hear,
        )

    def _report(self, report: Report) -> None:
        if self._remote:
            self._remote.tell(report)

    def _running(self) -> tuple[str, int]:
        manifest = self._switchover.running.manifest
        return manifest.id, manifest.version

    def _progress(self) -> tuple[int, int]:
        return self._switchover.windows, self._config.bundle.commit_windows

    def _tell_info(self) -> None:
        if self._publisher:
            self._publisher.info(self._info(self._switchover.running))

    def _info(self, running: Opened) -> payloads.Payload:
        rate_hz = running.manifest.members[0].features.rate_hz
        return payloads.info(
            self._config.device,
            self._boot_id,
            version=__version__,
            started=self._started,
            bundle_id=running.manifest.id,
            bundle_version=running.manifest.version,
            runtime=running.library,
            device_class=self._config.bundle.device_class,
            groups=self._config.groups,
            sources=[
                payloads.SourceInfo(
                    name=source.name,
                    input="microphone" if source.microphone else "recording",
                    rate_hz=rate_hz,
                )
                for source in self._config.sources
            ],
        )

    def _tell_health(self) -> None:
        """Publish how the agent does, and how much of the days it listened to."""
        snapshot = self._vitals.read()
        states = [f"{source.name} {source.state}" for source in snapshot.sources]
        self._notifier.status(", ".join(states))
        if self._publisher is None or self._config.mqtt is None:
            return
        now, device = datetime.now(timezone.utc), self._config.device
        self._publisher.health(condition.health(device, self._boot_id, now, snapshot))
        topics = Topics(self._config.mqtt.root, device)
        for source in self._config.sources:
            days = self._ledger.newest(source.name)
            payload = condition.coverage(device, source.name, now, days)
            self._publisher.tell(topics.coverage(source.name), payload)
