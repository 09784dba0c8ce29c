"""Faults when a bundle is switched to, on trial, or committed."""

import errno
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

from asd_agent import opening, switchover
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import Member
from asd_agent.capture.chunk import Block
from asd_agent.config import Config
from asd_agent.ear import Ear
from asd_agent.scoring.decision import Decision
from asd_agent.setup import members_of
from asd_agent.update import book
from faults.plant import NEW, OLD, Plant, overflowing
from faults.table import row
from support.broker import wait_for


@row("exception", "switch", "models that raise", runs=OLD, told="rolled_back error")
def _(plant: Plant) -> None:
    def fails(config: Config, bundle: Bundle) -> list[Member]:
        if bundle.manifest.id == NEW:
            raise FloatingPointError
        return members_of(config, bundle)

    plant.monkeypatch.setattr(opening, "members_of", fails)
    with plant.running():
        plant.install(plant.build(NEW, 2))
        wait_for(plant.settled, "the bundle is left")


@row("SIGKILL", "switch", "before it is written", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = str(plant.build(NEW, 2))
    assert plant.live("install", folder=folder, kill_at="installed") == -signal.SIGKILL
    assert plant.device.store.read().current == OLD
    assert plant.live("install", folder=folder) == 0


@row("SIGKILL", "switch", "when it is written", runs=NEW, told="trial")
def _(plant: Plant) -> None:
    folder = str(plant.build(NEW, 2))
    assert plant.live("install", folder=folder, kill_at="switched") == -signal.SIGKILL


@row("hang", "switch", "models that hang", runs=OLD, told="rolled_back hung")
def _(plant: Plant) -> None:
    plant.device.install_only(plant.build(NEW, 2))
    began_anew = 75
    assert plant.live("run", fault="open") == began_anew


@row(
    "disk full", "switch", "no room for the state", runs=OLD, told="rejected disk_full"
)
def _(plant: Plant) -> None:
    folder = plant.build(NEW, 2)
    make_room = plant.fill("state.json")
    plant.install(folder)
    make_room()


@row("wrong hash", "switch", "damaged", runs=OLD, told="rolled_back changed")
def _(plant: Plant) -> None:
    with plant.running() as service:
        service._switchover.look = lambda: None  # type: ignore[method-assign]
        plant.install(plant.build(NEW, 2))
        plant.damage(NEW)
        del service._switchover.look
        wait_for(plant.settled, "the bundle is left")


def faulty(plant: Plant, fault: Callable[[], object]) -> None:
    """Let the new bundle do something once it has taken over."""
    step = Ear.step

    def act(ear: Ear, block: Block) -> list[Decision]:
        decisions = step(ear, block)
        if ear.engine.manifest.id == NEW and ear.watch.windows > 1:
            fault()
        return decisions

    plant.monkeypatch.setattr(Ear, "step", act)


def fail() -> None:
    raise FloatingPointError


@row("exception", "trial", "beside the old one", runs=OLD, told="rolled_back error")
def _(plant: Plant) -> None:
    faulty(plant, fail)
    with plant.running() as service:
        plant.install(plant.build(NEW, 2))
        wait_for(plant.settled, "the bundle is left")
        wait_for(lambda: service._switchover.running.key == OLD, "the old one")


@row("exception", "trial", "after a start", runs=OLD, told="rolled_back error")
def _(plant: Plant) -> None:
    plant.device.install_only(plant.build(NEW, 2))
    began_anew = 75
    assert plant.live("run", fault="exception") == began_anew


@row("SIGKILL", "trial", "once", runs=NEW, told="committed")
def _(plant: Plant) -> None:
    plant.device.install_only(plant.build(NEW, 2))
    assert plant.live("run", fault="SIGKILL") == -signal.SIGKILL
    assert plant.live("run") == 0


@row("SIGKILL", "trial", "at every start", runs=OLD, told="rolled_back starts")
def _(plant: Plant) -> None:
    plant.device.install_only(plant.build(NEW, 2))
    for _ in range(3):
        assert plant.live("run", fault="SIGKILL") == -signal.SIGKILL
        assert plant.device.store.read().current == NEW
    assert plant.live("run", fault="SIGKILL") == 0


@row("hang", "trial", "a step without an end", runs=OLD, told="rolled_back hung")
def _(plant: Plant) -> None:
    """The process itself begins anew, by execv, with its own command line."""
    plant.device.install_only(plant.build(NEW, 2))
    words = [sys.executable, "-m", "faults.hanging", str(plant.device.file)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        # Else a process that hangs for good would be read from for ever.
        patience = threading.Timer(60, process.kill)
        patience.start()
        try:
            ready = list(_until(process.stderr, "INFO ready", 2))
            assert any("hangs" in line for line in ready)
            assert process.poll() is None
        finally:
            patience.cancel()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


def _until(lines: Iterable[str], text: str, times: int) -> Iterator[str]:
    for line in lines:
        yield line
        times -= text in line
        if not times:
            return


@row("NaN scores", "trial", "loud sound", runs=OLD, told="rolled_back not_finite")
def _(plant: Plant) -> None:
    with plant.running() as service:
        plant.install(plant.build_with(overflowing()))
        wait_for(plant.settled, "the bundle is left")
        wait_for(lambda: service._switchover.running.key == OLD, "the old one")


@row("disk full", "trial", "and scores NaN", runs=OLD, told="rolled_back not_finite")
def _(plant: Plant) -> None:
    """The old one is back at once; the disk is told when there is room again."""
    plant.monkeypatch.setattr(book, "RETRY_S", 0.3)
    with plant.running() as service:
        plant.install(plant.build_with(overflowing()))
        make_room = plant.fill("state.json")
        wait_for(lambda: plant.reports[-1].state == "rolled_back", "the report")
        assert service._switchover.running.key == OLD
        assert plant.device.store.read().current == NEW
        make_room()
        wait_for(plant.settled, "the state is written")


@row("wrong hash", "trial", "found at a start", runs=OLD, told="rolled_back broken")
def _(plant: Plant) -> None:
    plant.device.install_only(plant.build(NEW, 2))
    plant.damage(NEW)
    assert plant.live("run") == 0


@row("exception", "commit", "the medium fails for a while", runs=NEW, told="committed")
def _(plant: Plant) -> None:
    commit_later(plant, errno.EIO, "broken")


@row("disk full", "commit", "it waits for room", runs=NEW, told="committed")
def _(plant: Plant) -> None:
    commit_later(plant, errno.ENOSPC, "disk_full")


def commit_later(plant: Plant, error: int, reason: str) -> None:
    plant.monkeypatch.setattr(switchover, "RETRY_S", 0.3)
    with plant.running():
        plant.install(plant.build(NEW, 2))
        mend = plant.fill("state.json", error)
        wait_for(lambda: plant.reports[-1].step == "commit", "the report")
        assert (plant.reports[-1].state, plant.reports[-1].reason) == ("trial", reason)
        mend()
        wait_for(plant.settled, "the commit")


def _killed_commits() -> None:
    for when, says in (("before", "before it is written"), ("after", "when it is")):

        def act(plant: Plant, when: str = when) -> None:
            plant.device.install_only(plant.build(NEW, 2))
            assert plant.live("run", fault=when) == -signal.SIGKILL
            assert (plant.device.store.read().trial is None) == (when == "after")
            assert plant.live("run") == 0

        row("SIGKILL", "commit", says, runs=NEW, told="committed")(act)


_killed_commits()


@row("wrong hash", "commit", "found at a start", runs=OLD, told="rolled_back broken")
def _(plant: Plant) -> None:
    plant.device.install_only(plant.build(NEW, 2))
    assert plant.live("run") == 0
    assert plant.device.store.read().trial is None
    plant.damage(NEW)
    assert plant.live("run") == 0
