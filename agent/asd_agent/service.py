"""The running agent: a worker a source and one publisher, until told to stop."""

import logging
import threading
import time
import uuid
from datetime import datetime, timezone

from asd_agent import __version__
from asd_agent.config import Config, SourceConfig
from asd_agent.health import clock_synced, rss_bytes
from asd_agent.mqtt import payloads
from asd_agent.mqtt.clock import Anchor
from asd_agent.mqtt.publisher import Publisher
from asd_agent.scoring.decision import Decision
from asd_agent.setup import check_state_dir, members_of, open_bundle
from asd_agent.worker import Worker

log = logging.getLogger(__name__)

HEALTH_S = 60.0
"""Seconds from one health message to the next"""
POLL_S = 0.2
"""Seconds between two looks at whether all workers have ended"""


class Service:
    """Everything that one configuration names, opened and checked.

    Raises
    ------
    AsdError
        The bundle, a site, the state folder or a secret cannot be used.
    """

    def __init__(self, config: Config) -> None:
        check_state_dir(config.state_dir)
        self._config = config
        self._bundle = open_bundle(config)
        self._boot_id = uuid.uuid4().hex
        self._started = datetime.now(timezone.utc)
        self._started_s = time.monotonic()
        self._stop = threading.Event()
        self._runtime = ""
        self._workers = [self._worker(source) for source in config.sources]
        self._publisher: Publisher | None = None
        if config.mqtt is not None:
            self._publisher = Publisher(config.mqtt, config.device, self._info())

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
        if self._publisher:
            self._publisher.start()
        for worker in self._workers:
            worker.start()
        log.info("ready")
        try:
            self._watch()
        finally:
            for worker in self._workers:
                worker.stop()
            for worker in self._workers:
                worker.join(timeout=2)
            if self._publisher:
                self._publisher.close()
        for worker in self._workers:
            if worker.error is not None:
                raise worker.error

    def _watch(self) -> None:
        health_due_s = 0.0
        while not self._stop.wait(POLL_S):
            alive = [worker for worker in self._workers if worker.is_alive()]
            if not alive or any(worker.error for worker in self._workers):
                return
            if time.monotonic() >= health_due_s:
                health_due_s = time.monotonic() + HEALTH_S
                if self._publisher:
                    self._publisher.health(self._health())

    def _worker(self, source: SourceConfig) -> Worker:
        # Each its own: a network's buffers belong to one thread.
        members = members_of(self._config, self._bundle)
        self._runtime = members[0].library
        return Worker(
            self._config, source, members, self._bundle.manifest.id, self._emit
        )

    def _emit(self, worker: Worker, decision: Decision, anchor: Anchor) -> None:
        if self._publisher is None:
            return
        manifest = self._bundle.manifest
        name = worker.source.name
        origin = payloads.Origin(
            device=self._config.device,
            source=name,
            boot_id=self._boot_id,
            anchor=anchor,
            bundle_id=manifest.id,
            bundle_version=manifest.version,
            clock_synced=clock_synced(),
        )
        payload = payloads.anomaly(decision, origin)
        self._publisher.decision(name, payload, decision.changed)
        spectrum = payloads.spectrum(decision, origin)
        if spectrum is not None:
            self._publisher.spectrum(name, spectrum)

    def _info(self) -> payloads.Payload:
        manifest = self._bundle.manifest
        rate_hz = manifest.members[0].features.rate_hz
        return payloads.info(
            self._config.device,
            self._boot_id,
            version=__version__,
            started=self._started,
            bundle_id=manifest.id,
            bundle_version=manifest.version,
            runtime=self._runtime,
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
