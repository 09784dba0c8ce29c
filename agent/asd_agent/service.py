"""The running agent: a worker a source and one publisher, until told to stop."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timezone

from asd_agent import __version__, updating
from asd_agent.config import Config, SourceConfig
from asd_agent.ear import Ear
from asd_agent.health import clock_synced, rss_bytes
from asd_agent.mqtt import payloads
from asd_agent.mqtt.clock import Anchor
from asd_agent.mqtt.publisher import Publisher
from asd_agent.opening import Opened, Opening, open_first
from asd_agent.remote import Remote
from asd_agent.scoring.decision import Decision
from asd_agent.setup import check_state_dir, store_of
from asd_agent.switchover import Switchover
from asd_agent.update.book import Book
from asd_agent.update.report import Report
from asd_agent.worker import Worker

log = logging.getLogger(__name__)

HEALTH_S = 60.0
"""Seconds from one health message to the next"""
POLL_S = 0.2
"""Seconds between two looks at the workers and at what shall run"""


class Service:
    """Everything that one configuration names, opened and checked.

    Parameters
    ----------
    restart
        Begins this process anew, where a bundle on trial hangs.

    Raises
    ------
    AsdError
        The bundle, a site, the state folder or a secret cannot be used.
    """

    def __init__(
        self, config: Config, restart: Callable[[], None] = updating.restart
    ) -> None:
        check_state_dir(config.state_dir)
        self._config = config
        self._restart = restart
        self._boot_id = uuid.uuid4().hex
        self._started = datetime.now(timezone.utc)
        self._started_s = time.monotonic()
        self._stop = threading.Event()
        self._store = store_of(config)
        book = Book(self._store)
        opened = open_first(config, self._store, book, restart)
        self._workers = [
            self._worker(source, ear)
            for source, ear in zip(config.sources, opened.ears, strict=True)
        ]
        self._switchover = self._make_switchover(book, opened)
        self._publisher: Publisher | None = None
        self._remote: Remote | None = None
        if config.mqtt is not None:
            self._publisher = Publisher(config.mqtt, config.device, self._info())
            self._remote = Remote(
                config,
                config.mqtt,
                self._store,
                self._publisher,
                running=self._running,
                progress=self._progress,
            )

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
        for worker in self._workers:
            worker.start()
        log.info("ready")
        try:
            self._watch()
        finally:
            self._close()
        for worker in self._workers:
            if worker.error is not None:
                raise worker.error

    def _watch(self) -> None:
        health_due_s = 0.0
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
            if time.monotonic() >= health_due_s:
                health_due_s = time.monotonic() + HEALTH_S
                if self._publisher:
                    self._publisher.health(self._health())

    def _close(self) -> None:
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(timeout=2)
        if self._publisher and self._remote:
            self._remote.close()
            self._publisher.close()

    def _begin_anew(self) -> None:
        """Send what waits, then begin this process anew; a worker may hang."""
        if self._publisher:
            self._publisher.close()
        self._restart()

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

    def _worker(self, source: SourceConfig, ear: Ear) -> Worker:
        return Worker(self._config, source, ear, self._emit)

    def _report(self, report: Report) -> None:
        if self._remote:
            self._remote.tell(report)

    def _tell_info(self) -> None:
        if self._publisher:
            self._publisher.info(self._info())

    def _running(self) -> tuple[str, int]:
        manifest = self._switchover.running.manifest
        return manifest.id, manifest.version

    def _progress(self) -> tuple[int, int]:
        return self._switchover.windows, self._config.bundle.commit_windows

    def _emit(self, worker: Worker, decision: Decision, anchor: Anchor) -> None:
        if self._publisher is None:
            return
        name = worker.source.name
        origin = payloads.Origin(
            device=self._config.device,
            source=name,
            boot_id=self._boot_id,
            anchor=anchor,
            bundle_id=worker.manifest.id,
            bundle_version=worker.manifest.version,
            clock_synced=clock_synced(),
        )
        payload = payloads.anomaly(decision, origin)
        self._publisher.decision(name, payload, decision.changed)
        spectrum = payloads.spectrum(decision, origin)
        if spectrum is not None:
            self._publisher.spectrum(name, spectrum)

    def _info(self) -> payloads.Payload:
        running = self._switchover.running
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

    def _health(self) -> payloads.Payload:
        publisher = self._publisher
        return payloads.health(
            self._config.device,
            self._boot_id,
            now=datetime.now(timezone.utc),
            uptime_s=time.monotonic() - self._started_s,
            clock_synced=clock_synced(),
            rss_bytes=rss_bytes(),
            dropped=publisher.dropped if publisher else 0,
            waiting=publisher.waiting if publisher else 0,
            sources=[_source_health(worker) for worker in self._workers],
        )


def _source_health(worker: Worker) -> payloads.SourceHealth:
    heard_s = worker.heard_s
    return payloads.SourceHealth(
        name=worker.source.name,
        state=worker.state.value,
        sound_age_s=None if heard_s is None else time.monotonic() - heard_s,
        windows=worker.windows,
        lost_samples=worker.lost_samples,
        step_ms=worker.step_ms,
    )
