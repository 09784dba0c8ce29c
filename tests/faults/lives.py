"""Lives of an agent that end as they are told to; each runs in a process of its own."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from asd_agent import child, opening, switchover, updating
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.member import Member
from asd_agent.bundle.proof import Proof
from asd_agent.capture.chunk import Block
from asd_agent.config import Config
from asd_agent.config_file import load
from asd_agent.ear import Ear
from asd_agent.scoring.decision import Decision
from asd_agent.service import Service
from asd_agent.setup import members_of, store_of
from asd_agent.update.fetch import FolderFetcher
from asd_agent.update.report import Report
from support.updates import desired_of

NEW = "pump-2"
"""Bundle that the faults are in"""


def kill(*_: object) -> NoReturn:
    """End this process as the kernel does where there is no memory."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def kill_at_rename(name: str, *, after: bool) -> None:
    """Let the process end when a file of that name is replaced."""
    real = Disk.rename

    def rename(disk: Disk, old: Path, new: Path) -> None:
        if new.name != name:
            real(disk, old, new)
            return
        if after:
            real(disk, old, new)
        kill()

    Disk.rename = rename  # type: ignore[assignment,method-assign]


def install(file: str, folder: str, kill_at: str | None = None) -> None:
    """Install a bundle; the process may be killed at a step.

    Parameters
    ----------
    kill_at
        A step; ``installed`` or ``switched``: before and after the state is written.
    """

    def report(told: Report) -> None:
        if told.step == kill_at and (told.step != "fetch" or told.bytes):
            if told.step in {"self-test", "re-learn"}:
                # Amidst of it, while a child is at work.
                child.run = _killed_in  # type: ignore[assignment]
            else:
                kill()

    if kill_at != "self-test":
        # It is not what the life is about, and takes a second.
        updating.prove = lambda *_: Proof(())  # type: ignore[attr-defined]
    if kill_at in {"installed", "switched"}:
        kill_at_rename("state.json", after=kill_at == "switched")
    config = load(Path(file))
    installer = updating.installer_of(config, store_of(config), report)
    bundle = Path(folder)
    installer.run(desired_of(bundle), FolderFetcher(bundle))


def _killed_in(_module: str, _arguments: object, **_: object) -> NoReturn:
    threading.Timer(0.1, kill).start()
    _hang()


def run(file: str, fault: str | None = None) -> None:
    """Run the agent until its bundle is not on trial any more.

    Parameters
    ----------
    fault
        What the new bundle does: ``SIGKILL``, ``exception``, ``open`` (hangs when it is
        opened), ``before`` or ``after`` (killed when the commit is written).
    """
    config = load(Path(file))
    if fault in {"before", "after"}:
        Service._watch = _then(  # type: ignore[assignment,method-assign]
            lambda: kill_at_rename("state.json", after=fault == "after"), Service._watch
        )
    elif fault == "open":
        opening.OPEN_S = 0.3
        opening.members_of = _hangs_if_new  # type: ignore[attr-defined]
    elif fault is not None:
        Ear.step = _faulty(kill if fault == "SIGKILL" else _raise, Ear.step)  # type: ignore[assignment,method-assign]
    service = Service(config, restart=_restart)
    # Where it shall begin anew by itself it is not stopped first.
    wait_s = 20.0 if fault in {"exception", "open"} else 0.3
    args = (config, service, wait_s)
    threading.Thread(target=_stop_when_settled, args=args).start()
    service.run()


def serve_hanging(file: str) -> None:
    """Run the agent as from the command line; the new bundle hangs in its steps."""
    from asd_agent.cli import main

    switchover.HANG_S = 0.5
    Ear.step = _faulty(_hang, Ear.step)  # type: ignore[assignment,method-assign]
    raise SystemExit(main(["--config", file]))


def _then(
    first: Callable[[], None], call: Callable[[Service], None]
) -> Callable[[Service], None]:
    def both(service: Service) -> None:
        first()
        call(service)

    return both


def _faulty(
    fault: Callable[[], None], step: Callable[[Ear, Block], list[Decision]]
) -> Callable[[Ear, Block], list[Decision]]:
    def faulty(ear: Ear, block: Block) -> list[Decision]:
        decisions = step(ear, block)
        # Once it has judged a little: it would pass any test at its start.
        if ear.engine.manifest.id == NEW and ear.watch.windows:
            fault()
        return decisions

    return faulty


def _hangs_if_new(config: Config, bundle: Bundle) -> list[Member]:
    if bundle.manifest.id == NEW:
        _hang()
    return members_of(config, bundle)


def _raise() -> NoReturn:
    raise FloatingPointError("a fault in a library")


def _hang() -> NoReturn:
    while True:
        time.sleep(1)


def _restart() -> NoReturn:
    os._exit(75)


def _stop_when_settled(config: Config, service: Service, wait_s: float) -> None:
    store = store_of(config)
    while store.read().trial is not None:
        time.sleep(0.05)
    time.sleep(wait_s)
    service.stop()
