"""The whole agent, running in the process of a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import parse
from asd_agent.bundle.member import open_members
from asd_agent.bundle.site import Site
from asd_agent.config import Config
from asd_agent.service import Service
from asd_agent.update.desired import encode
from asd_agent.update.report import Report
from support.agents import RATE_HZ
from support.broker import Mosquitto
from support.bundles import entry
from support.publishers import put
from support.sounds import learnt, noise
from support.updates import desired_of

SECONDS = 3
"""Of normal sound that is learnt"""


class Watched(Service):
    """A service that lets a test see what it reports."""

    reports: list[Report]

    def _report(self, report: Report) -> None:
        self.reports.append(report)
        super()._report(report)


@contextmanager
def running(config: Config, reports: list[Report]) -> Iterator[Watched]:
    """Run the agent until the block ends; it must not want to begin anew."""

    def restart() -> None:
        raise AssertionError("nothing hangs")

    service = Watched(config, restart)
    service.reports = reports
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join(10)
        assert not thread.is_alive()


def know(config: Config, folder: Path, level: float = 0.1) -> None:
    """Let the only source of an agent have been learnt with a bundle."""
    bundle = Bundle.open(folder)
    site = learnt(open_members(bundle), noise(SECONDS * RATE_HZ, 21, level))
    name = config.sources[0].name
    site.save(Site.path(config.state_dir, name, bundle.manifest.id))


def push(
    broker: Mosquitto,
    folder: Path,
    *,
    base_url: str | None = None,
    without: frozenset[str] = frozenset(),
) -> None:
    """Publish a bundle, but for some of its files, and wish that it runs."""
    wish = desired_of(folder, base_url)
    for name, listed in parse(wish.raw).files.items():
        content = (folder / name).read_bytes()
        assert entry(content) == listed
        if base_url is None and name not in without:
            put(broker.port, f"factory/bundles/{listed.sha256}", content)
    put(broker.port, "factory/press-07/bundle/desired", encode(wish))
