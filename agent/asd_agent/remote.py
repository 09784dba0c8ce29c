"""Lets a device be updated by MQTT: hears what is wished, has it done, tells of it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import Event

from asd_agent.bundle.store import Store
from asd_agent.config import Config, MqttConfig
from asd_agent.errors import AsdError, BundleError
from asd_agent.health import clock_synced
from asd_agent.mqtt.members import TopicFetcher
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from asd_agent.mqtt.updates import Updates
from asd_agent.setup import trust_of
from asd_agent.update.desired import Desired
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.fetch import Fetcher
from asd_agent.update.report import Report
from asd_agent.update.updates import Answers, Updater, refusal
from asd_agent.updating import installer_of

log = logging.getLogger(__name__)

END_S = 2.0
"""Seconds that an installation under way has to end"""


class Remote:
    """The remote end of the updates of one device.

    Parameters
    ----------
    running
        Tells the bundle that decides: identifier and version.
    progress
        Tells how many healthy windows a bundle on trial has, and how many it needs.

    Raises
    ------
    ConfigError
        A trusted key cannot be read.
    """

    def __init__(
        self,
        config: Config,
        mqtt: MqttConfig,
        store: Store,
        publisher: Publisher,
        *,
        running: Callable[[], tuple[str, int]],
        progress: Callable[[], tuple[int, int]],
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._topics = Topics(mqtt.root, config.device)
        self._last: Report | None = None
        pinned = config.bundle.path is not None
        self._installer = installer_of(config, store, self.tell)
        self._updater = Updater(
            Answers(store, trust_of(config), pinned=pinned, progress=progress),
            self._install,
            self.tell,
        )
        self._updates = Updates(
            publisher,
            self._topics,
            on_desired=self._updater.desire,
            on_unreadable=self._updater.unreadable,
            running=running,
            clock_synced=clock_synced,
        )

    def start(self) -> None:
        """Begin to listen."""
        self._updater.start()
        self._updates.start()

    def close(self) -> None:
        """End what is under way; it goes on at the next start."""
        self._updates.close()
        self._updater.end()
        self._updater.join(END_S)

    def tell(self, report: Report) -> None:
        """Publish how an update does."""
        self._last = report
        self._updates.tell(report)

    def _install(self, desired: Desired, stop: Event) -> None:
        try:
            fetcher = self._fetcher(desired)
        except AsdError as error:
            reason = getattr(error, "reason", "unavailable")
            self.tell(refusal(desired, reason, str(error)))
            raise BundleError(str(error), reason) from error
        self._installer.run(desired, fetcher, stop)

    def _fetcher(self, desired: Desired) -> Fetcher:
        if desired.base_url is None:
            inbox = self._publisher.inbox
            return TopicFetcher(inbox, self._topics, waiting=self._waiting)
        return HttpsFetcher(desired.base_url, self._config.bundle.ca)

    def _waiting(self, name: str | None) -> None:
        """Say that the broker does not have a file, or has it now."""
        if self._last is None:
            return
        reason, detail = None, None
        if name is not None:
            reason, detail = (
                "unavailable",
                f"{name} is waited for. Push the bundle again",
            )
        self.tell(replace(self._last, reason=reason, detail=detail))
