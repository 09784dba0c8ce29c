"""Faults while a bundle is fetched, and while its files are verified."""

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.staged import Staged
from asd_agent.errors import BundleError
from asd_agent.update.desired import Desired
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.fetch import Fetcher, FolderFetcher, Told
from asd_agent.update.patience import Patience
from asd_agent.update.updates import Pauses, Updater
from faults.plant import NEW, NEWER, OLD, Plant
from faults.table import row
from support.broker import wait_for
from support.bundles import GOLDEN
from support.updates import desired_of
from support.web import Answer, Request, WebServer, serve


class Altered:
    """A fetcher that does something else than to bring every file."""

    def __init__(self, folder: Path, act: Callable[[Staged, threading.Event], None]):
        self._folder = FolderFetcher(folder)
        self._act = act

    def fetch(self, staged: Staged, stop: threading.Event, progress: Told) -> None:
        self._act(staged, stop)
        self._folder.fetch(staged, stop, progress)


def update(plant: Plant, *wishes: tuple[Path, Fetcher | None]) -> None:
    """Have wishes served, one after the other, without a broker."""
    fetchers = {desired_of(f): fetcher or FolderFetcher(f) for f, fetcher in wishes}

    def install(desired: Desired, stop: threading.Event) -> None:
        plant.installs(desired, fetchers[desired])(desired, stop)

    updater = Updater(
        lambda _: None, install, plant.reports.append, pauses=Pauses(0.05, 0.1)
    )
    updater.start()
    try:
        for wish in fetchers:
            count = len(plant.reports)
            updater.desire(wish)
            wait_for(lambda: len(plant.reports) > count, "it is begun")  # noqa: B023
        wait_for(lambda: _ended(plant), "the last wish is served")
    finally:
        updater.end()
        updater.join(5)


def _ended(plant: Plant) -> bool:
    state = plant.device.store.read()
    return state.trial is not None or plant.reports[-1].state == "rejected"


@row("exception", "fetch", "a bug", runs=OLD, told="rejected broken")
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)

    def fail(_staged: Staged, _stop: threading.Event) -> None:
        raise ZeroDivisionError

    update(plant, (folder, Altered(folder, fail)))


@row("SIGKILL", "fetch", "it goes on at the next start", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = str(plant.build(NEW, 2))
    assert plant.live("install", folder=folder, kill_at="fetch") == -signal.SIGKILL
    assert plant.device.store.read().current == OLD
    assert plant.live("install", folder=folder) == 0


@row("hang", "fetch", "a newer wish relieves it", runs=NEWER, told="trial")
def _(plant: Plant) -> None:
    def wait(_staged: Staged, stop: threading.Event) -> None:
        stop.wait(20)
        raise BundleError("it was no longer waited for", "unavailable")

    folder, newer = plant.build(NEW, 2), plant.build(NEWER, 3)
    update(plant, (folder, Altered(folder, wait)), (newer, None))


@row("disk full", "fetch", "no room for a file", runs=OLD, told="rejected disk_full")
def _(plant: Plant) -> None:
    plant.fill(GOLDEN)
    plant.install(plant.build(NEW, 2))


@row("disk full", "fetch", "and with room it goes on", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    make_room = plant.fill(GOLDEN)
    plant.install(folder)
    make_room()
    plant.install(folder)


def break_off(request: Request) -> None:
    """Hang up in the middle of what is asked for first; go on where it is wanted."""
    if request.start:
        serve(request)
        return
    request.head(200, Content_Length=len(request.content))
    request.wfile.write(request.content[: len(request.content) // 2])


def promise(request: Request) -> None:
    """Say that a file comes, and hang up."""
    request.head(200, Content_Length=len(request.content))


def from_server(plant: Plant, answer: Answer) -> None:
    folder = plant.build(NEW, 2)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    quick = Patience(tries=3, pause_s=0.01)
    with WebServer(files, answer=answer) as server:
        plant.install(folder, HttpsFetcher(server.base_url, patience=quick))


@row("truncated transfer", "fetch", "it goes on in the middle", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    from_server(plant, break_off)


@row(
    "truncated transfer",
    "fetch",
    "over and over",
    runs=OLD,
    told="downloading unavailable",
)
def _(plant: Plant) -> None:
    from_server(plant, promise)


@row("wrong hash", "fetch", "another file", runs=OLD, told="rejected changed")
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    alter(folder)
    plant.install(folder)


@row("wrong hash", "fetch", "and then the right file", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    right = (folder / GOLDEN).read_bytes()
    alter(folder)
    plant.install(folder)
    (folder / GOLDEN).write_bytes(right)
    plant.install(folder)


def alter(folder: Path) -> None:
    """Change the last byte of a file."""
    path = folder / GOLDEN
    path.write_bytes(path.read_bytes()[:-1] + b"?")


class Afterwards:
    """A fetcher that brings every file, and then does something to them."""

    def __init__(self, folder: Path, act: Callable[[Path], object]) -> None:
        self._folder = FolderFetcher(folder)
        self._act = act

    def fetch(self, staged: Staged, stop: threading.Event, progress: Told) -> None:
        self._folder.fetch(staged, stop, progress)
        self._act(staged.path)


def fail_in_seal(plant: Plant, error: int) -> None:
    """Let the medium fail when it is asked to hold what was fetched."""

    def fail(_disk: Disk, _fd: int) -> None:
        raise OSError(error, "the medium fails")

    def break_medium(_: Path) -> None:
        plant.monkeypatch.setattr(Disk, "sync", fail)

    folder, sync = plant.build(NEW, 2), Disk.sync
    plant.install(folder, Afterwards(folder, break_medium))
    plant.monkeypatch.setattr(Disk, "sync", sync)


@row("exception", "verify", "the medium fails", runs=OLD, told="rejected broken")
def _(plant: Plant) -> None:
    fail_in_seal(plant, errno.EIO)


@row("disk full", "verify", "told late", runs=OLD, told="rejected disk_full")
def _(plant: Plant) -> None:
    """As file systems do that find room for a file only when it is synced."""
    fail_in_seal(plant, errno.ENOSPC)


@row("SIGKILL", "verify", "it goes on at the next start", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = str(plant.build(NEW, 2))
    assert plant.live("install", folder=folder, kill_at="verify") == -signal.SIGKILL
    assert plant.live("install", folder=folder) == 0


@row(
    "truncated transfer", "verify", "cut when whole", runs=OLD, told="rejected changed"
)
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    plant.install(
        folder, Afterwards(folder, lambda path: os.truncate(path / GOLDEN, 100))
    )


@row("wrong hash", "verify", "altered when whole", runs=OLD, told="rejected changed")
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    plant.install(folder, Afterwards(folder, alter))
