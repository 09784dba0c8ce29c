"""A device in which things go wrong: pump-1 runs on it, and pump-2 is to come."""

import errno
import hashlib
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from asd_agent import child, updating
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.selftest import prove
from asd_agent.bundle.site import Site
from asd_agent.config import Config
from asd_agent.errors import BundleError
from asd_agent.features.stream import units
from asd_agent.opening import open_first
from asd_agent.setup import store_of
from asd_agent.teach import teach
from asd_agent.update.book import Book
from asd_agent.update.desired import Desired
from asd_agent.update.fetch import Fetcher, FolderFetcher
from asd_agent.update.report import Report
from asd_agent.update.updates import told
from faults.zygote import TESTS, Zygote
from support.agents import RATE_HZ
from support.bundles import GOLDEN, MODEL, SMALL, network, reforge, sign
from support.running import SECONDS, Watched, know, running
from support.sounds import blocks, noise, wav
from support.updates import Device, desired_of

OLD, NEW, NEWER = "pump-1", "pump-2", "pump-3"
SOFT, LOUD = 0.1, 0.4
"""Root mean square of golden sound at most, and of a machine that runs"""


class Plant:
    """One device, its faults, and what became of its bundles."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, zygote: Zygote
    ) -> None:
        self.monkeypatch = monkeypatch
        self.zygote = zygote
        self.device = Device(folder)
        self.reports: list[Report] = []
        self.tape = wav(
            folder / "tape.wav", noise(SECONDS * RATE_HZ, 21, LOUD), RATE_HZ
        )
        self.config = self.configure()
        self.device.install(self.build(OLD, 1))
        # A child takes a second: only where it is what a row is about.
        self.skip_tests()
        # What children and other processes import.
        monkeypatch.setenv("PYTHONPATH", str(TESTS))

    def configure(self, **keys: Any) -> Config:
        """Write another configuration."""
        wanted = {"pace": "realtime", "loop": True, "test_timeout_s": 60.0}
        return self.device.configure(self.tape, **(wanted | keys))

    def build(self, name: str, version: int, **changes: Any) -> Path:
        """Forge a bundle that knows the machine, and has no file of another."""
        wanted = {"embeds": False, "members": version} | changes
        folder = self.device.build(name, version, **wanted)
        self.know(folder)
        return folder

    def build_with(self, content: bytes) -> Path:
        """Forge a bundle of another network than its golden numbers are of.

        What it knows of the machine was learnt from soft sound.
        """
        folder = self.device.build(NEW, 2)
        self.know(folder, SOFT)
        reforge(folder, MODEL.file, content)
        site = Site.path(self.config.state_dir, "pump", NEW)
        raw = site.read_bytes()
        old, new = (
            hashlib.sha256(raw).hexdigest().encode()
            for raw in (network(SMALL.unit_shape), content)
        )
        site.write_bytes(raw.replace(old, new))
        return sign(folder, self.device.private)

    def know(self, folder: Path, level: float = LOUD) -> None:
        """Let the device have learnt its source with a bundle."""
        know(self.config, folder, level)

    def teach(self) -> None:
        """Learn with the old bundle alone, and keep the sound."""
        for site in (self.config.state_dir / "sites" / "pump").glob("*.safetensors"):
            site.unlink()
        teach(self.config, self.config.sources[0], [str(self.tape)], None, StringIO())

    def install(
        self,
        folder: Path,
        fetcher: Fetcher | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """Do what a push does; a refusal is no error of the test."""
        installer = updating.installer_of(
            self.config, store_of(self.config), self.reports.append
        )
        try:
            installer.run(desired_of(folder), fetcher or FolderFetcher(folder), stop)
        except BundleError:
            return

    def installs(self, desired: Desired, fetcher: Fetcher) -> Any:
        """What an updater calls."""

        def install(_: Desired, stop: threading.Event) -> None:
            installer = updating.installer_of(
                self.config, store_of(self.config), self.reports.append
            )
            installer.run(desired, fetcher, stop)

        return install

    def running(self) -> AbstractContextManager[Watched]:
        """Run the agent in this process."""
        return running(self.config, self.reports)

    def settled(self) -> bool:
        """Whether the new bundle is on trial no more, and that was told."""
        if self.device.store.read().trial is not None or not self.reports:
            return False
        last = self.reports[-1]
        return last.id != OLD and last.state in {"committed", "rolled_back"}

    def live(self, call: str, **keys: Any) -> int:
        """Live as a process of its own; how it ended."""
        return self.zygote.live(call, file=str(self.device.file), **keys)

    def wrap(self, fault: str) -> None:
        """Put a fault into the children of the agent."""
        run = child.run

        def wrapped(module: str, arguments: Any, **limits: Any) -> Any:
            return run("faults.wrapped", [fault, module, *arguments], **limits)

        self.monkeypatch.setattr(child, "run", wrapped)

    def skip_tests(self) -> None:
        """Let every bundle pass its self-test, without a child."""
        self.monkeypatch.setattr(updating, "prove", lambda *_: None)

    def test_bundles(self) -> None:
        """Have bundles tested by a child, as on any device."""
        self.monkeypatch.setattr(updating, "prove", prove)

    def fill(self, name: str, error: int = errno.ENOSPC) -> Callable[[], None]:
        """Let the disk be full for files of some name; returns what makes room."""
        write = Disk.write

        def full(disk: Disk, fd: int, raw: bytes) -> None:
            if name in str(Path(f"/proc/self/fd/{fd}").readlink()):
                raise OSError(error, "the medium fails")
            write(disk, fd, raw)

        self.monkeypatch.setattr(Disk, "write", full)
        return lambda: self.monkeypatch.setattr(Disk, "write", write)

    def damage(self, name: str) -> None:
        """Change a byte of an installed bundle."""
        path = self.device.store.path(name) / GOLDEN
        path.write_bytes(path.read_bytes()[:-1] + b"?")

    def outcome(self) -> tuple[str, str, str | None]:
        """The bundle that the device runs, and what it told last."""
        state = self.device.store.read()
        last = self.reports[-1] if self.reports else None
        if last is None or last.state in {"testing", "trial"}:
            assert state.news is not None
            last = told(state.news)
        return state.current, last.state, last.reason

    def start_and_score(self) -> str:
        """Start as the agent does; the bundle that judges a window, which is whole."""

        def restart() -> None:
            raise AssertionError("nothing hangs")

        store = store_of(self.config)
        opened = open_first(self.config, store, Book(store), restart)
        Bundle.open(store.path(opened.key), self.device.trust)
        (ear,) = opened.ears
        sound = noise(2 * RATE_HZ, 5, LOUD if ear.learning else SOFT)
        decisions = [d for b in blocks(sound) for d in ear.step(b)]
        assert np.isfinite([d.score for d in decisions if d.score is not None]).all()
        assert any(not d.gap for d in decisions)
        return opened.key


def without_numbers() -> bytes:
    """A network whose weights are no numbers."""
    model = onnx.load_from_string(network(SMALL.unit_shape))
    weights = model.graph.initializer[1]
    none = np.full(tuple(weights.dims), np.nan, np.float32)
    weights.CopyFrom(numpy_helper.from_array(none, weights.name))
    content: bytes = model.SerializeToString()
    return content


def overflowing() -> bytes:
    """A network that computes as before, but for loud sound gives no numbers."""
    model = onnx.load_from_string(network(SMALL.unit_shape))
    graph = model.graph
    graph.node[-1].output[0] = "sound"
    # Half-way between the mean levels of the two, decibel.
    soft = float(units(SMALL, noise(RATE_HZ, 1, SOFT)).mean())
    loud = float(units(SMALL, noise(RATE_HZ, 1, LOUD)).mean())
    for name, value in (("limit", (soft + loud) / 2), ("nothing", 0.0)):
        graph.initializer.append(
            numpy_helper.from_array(np.array(value, np.float32), name)
        )
    graph.node.extend(
        [
            helper.make_node("ReduceMean", ["unit"], ["level"], keepdims=0),
            helper.make_node("Sub", ["limit", "level"], ["room"]),
            helper.make_node("Sqrt", ["room"], ["root"]),
            helper.make_node("Mul", ["root", "nothing"], ["fault"]),
            helper.make_node("Add", ["sound", "fault"], ["embedding"]),
        ]
    )
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
