"""What the store says runs; a bundle on trial is committed or gives way."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from asd_agent.bundle.state import BASE
from asd_agent.ear import Ear
from asd_agent.errors import BundleError
from asd_agent.opening import Opened, Opening
from asd_agent.switchover import HANG_S, RETRY_S, Switchover
from asd_agent.update.book import Book
from asd_agent.update.report import Report
from asd_agent.update.trial import Watch
from asd_agent.worker import Worker
from support.crashes import Quick
from support.updates import Device

NEEDED = 3


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Source:
    """Stands for a worker."""

    watch: Watch = field(default_factory=lambda: Watch(0.5))
    busy_s: float | None = None
    error: BaseException | None = None
    asked: list[tuple[str, bool]] = field(default_factory=list)
    settled: int = 0

    def switch(self, ear: Ear, *, at_once: bool) -> None:
        self.watch = Watch(0.5)
        self.asked.append((cast(str, ear), at_once))

    def settle(self) -> None:
        self.settled += 1

    def hear(self, windows: int) -> None:
        self.watch.stuck = False
        self.watch.windows = windows


@dataclass
class Ready:
    """Stands for a thread that opens a bundle: it ends when it is told to."""

    key: str
    manifest: Any
    opened: Opened | None = None
    error: Exception | None = None
    hangs: bool = False
    alive: bool = True

    def start(self) -> None:
        """It is alive from the beginning."""

    def is_alive(self) -> bool:
        return self.alive

    def succeed(self) -> None:
        ears = cast(tuple[Ear, ...], (f"ear of {self.key}",))
        self.opened = Opened(self.key, self.manifest, ears)
        self.alive = False

    def fail(self, error: Exception) -> None:
        self.error, self.alive = error, False


class Bench:
    """A device that runs pump-1, and a switchover of it."""

    def __init__(self, folder: Path) -> None:
        self.device = Device(folder, Quick())
        self.device.install(self.device.build("pump-1", 1, embeds=False))
        self.store = self.device.store
        self.clock = Clock()
        self.source = Source()
        self.calls: list[str] = []
        self.reports: list[Report] = []
        self.openings: list[Ready] = []
        self.book = Book(self.store, self.clock)
        first = self.ready("pump-1")
        first.succeed()
        assert first.opened
        self.switchover = Switchover(
            self.book,
            first.opened,
            [cast(Worker, self.source)],
            NEEDED,
            opening=self.open,
            report=self.reports.append,
            switched=lambda: self.calls.append("switched"),
            tidy=lambda: self.calls.append("tidy"),
            restart=lambda: self.calls.append("restart"),
            clock=self.clock,
        )

    def ready(self, key: str) -> Ready:
        return Ready(key, self.store.manifest(key) if key else None)

    def open(self, key: str) -> Opening:
        self.openings.append(self.ready(key))
        return cast(Opening, self.openings[-1])

    def install(self, number: int) -> None:
        name = f"pump-{number}"
        folder = self.device.build(name, number, embeds=False)
        self.device.install(folder)
        self.store.change(lambda s: s.rolled_back("error"))
        self.store.change(lambda s: s.forgiven(name).switched(name, number))

    def on_trial(self, number: int = 2) -> None:
        """Install a bundle and let it take over."""
        self.install(number)
        self.switchover.look()
        self.openings[-1].succeed()
        self.switchover.look()

    @property
    def told(self) -> list[tuple[str, str, str, str | None]]:
        return [(r.id, r.state, r.step, r.reason) for r in self.reports]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_while_nothing_changes_nothing_happens(bench: Bench) -> None:
    for _ in range(3):
        bench.switchover.look()
    assert (bench.calls, bench.openings, bench.source.asked) == ([], [], [])


def test_another_bundle_is_opened_beside_and_switched_to(bench: Bench) -> None:
    bench.install(2)
    bench.switchover.look()
    bench.switchover.look()
    assert [opening.key for opening in bench.openings] == ["pump-2"]
    assert bench.source.asked == []
    assert bench.switchover.running.key == "pump-1"
    bench.openings[0].succeed()
    bench.switchover.look()
    # What runs is well: it goes on until the other has heard a whole window.
    assert bench.source.asked == [("ear of pump-2", False)]
    assert bench.switchover.running.key == "pump-2"
    assert bench.calls == ["switched"]
    assert bench.told == [("pump-2", "trial", "trial", None)]


def test_healthy_windows_are_told_and_commit(bench: Bench) -> None:
    bench.on_trial()
    for windows in range(1, NEEDED):
        bench.source.hear(windows)
        bench.switchover.look()
        assert bench.store.read().trial is not None
    bench.source.hear(NEEDED)
    bench.switchover.look()
    assert [(r.state, r.windows, r.needed) for r in bench.reports] == [
        ("trial", 0, NEEDED),
        ("trial", 1, NEEDED),
        ("trial", 2, NEEDED),
        ("committed", NEEDED, NEEDED),
    ]
    assert bench.store.read().trial is None
    assert bench.source.settled == 1
    assert bench.calls == ["switched", "tidy"]
    bench.switchover.look()
    assert len(bench.reports) == NEEDED + 1


@pytest.mark.parametrize("reason", ["not_finite", "error"])
def test_a_bundle_that_fails_gives_way_to_the_one_that_is_kept(
    bench: Bench, reason: str
) -> None:
    bench.on_trial()
    bench.source.watch.failure = reason
    bench.switchover.look()
    assert bench.store.read().rejected == {"pump-2": reason}
    bench.switchover.look()
    # It was kept: nothing is opened, and nothing is waited for.
    assert len(bench.openings) == 1
    assert bench.source.asked[-1] == ("ear of pump-1", True)
    assert bench.told[-1] == ("pump-2", "rolled_back", "trial", reason)
    assert bench.switchover.running.key == "pump-1"
    assert "restart" not in bench.calls


def test_a_newer_bundle_relieves_one_on_trial_and_gives_way_to_the_first(
    bench: Bench,
) -> None:
    bench.on_trial(2)
    folder = bench.device.build("pump-3", 3, embeds=False)
    staged = bench.store.stage(
        (folder / "manifest.json").read_bytes(), (folder / "manifest.sig").read_bytes()
    )
    for name in staged.missing():
        staged.append(name, (folder / name).read_bytes())
        staged.finish(name)
    bench.store.install(staged)
    bench.store.change(lambda s: s.switched("pump-3", 3))
    bench.switchover.look()
    bench.openings[-1].succeed()
    bench.switchover.look()
    bench.source.watch.failure = "error"
    bench.switchover.look()
    bench.switchover.look()
    assert [what for what, _ in bench.source.asked] == [
        "ear of pump-2",
        "ear of pump-3",
        "ear of pump-1",
    ]


def test_a_person_who_goes_back_loses_no_decision(bench: Bench) -> None:
    bench.on_trial()
    bench.store.change(lambda s: s.rolled_back("by_hand"))
    bench.switchover.look()
    assert bench.source.asked[-1] == ("ear of pump-1", False)
    assert bench.told[-1] == ("pump-2", "rolled_back", "trial", "by_hand")


def test_what_was_committed_long_ago_is_opened_again(bench: Bench) -> None:
    bench.on_trial()
    bench.source.hear(NEEDED)
    bench.switchover.look()
    bench.store.change(lambda s: s.rolled_back("by_hand"))
    bench.switchover.look()
    assert [opening.key for opening in bench.openings] == ["pump-2", "pump-1"]
    bench.openings[-1].succeed()
    bench.switchover.look()
    assert bench.switchover.running.key == "pump-1"


@pytest.mark.parametrize(
    ("error", "reason", "remembered"),
    [
        (BundleError("no", "differs"), "differs", True),
        (BundleError("no", "changed"), "changed", False),
        (MemoryError(), "error", True),
    ],
)
def test_a_bundle_that_cannot_be_opened_never_runs(
    bench: Bench, error: Exception, reason: str, remembered: bool
) -> None:
    bench.install(2)
    bench.switchover.look()
    bench.openings[0].fail(error)
    bench.switchover.look()
    state = bench.store.read()
    assert (state.current, "pump-2" in state.rejected) == ("pump-1", remembered)
    assert bench.told == [("pump-2", "rolled_back", "switch", reason)]
    assert bench.source.asked == []
    bench.switchover.look()
    assert len(bench.openings) == 1


@pytest.mark.parametrize("reason", ["broken", "differs"])
def test_the_last_resort_that_cannot_be_opened_is_not_tried_over_and_over(
    bench: Bench, reason: str
) -> None:
    bench.store.change(lambda s: s.rolled_back("by_hand"))
    assert bench.store.read().current == BASE
    bench.switchover.look()
    bench.openings[0].fail(BundleError("no", reason))
    for _ in range(5):
        bench.switchover.look()
    assert len(bench.openings) == 1
    # What runs goes on.
    assert bench.switchover.running.key == "pump-1"


def test_a_wish_that_is_overtaken_while_it_is_opened_is_dropped(bench: Bench) -> None:
    bench.install(2)
    bench.switchover.look()
    bench.store.change(lambda s: s.rolled_back("by_hand"))
    bench.openings[0].succeed()
    bench.switchover.look()
    bench.switchover.look()
    assert bench.source.asked == []
    assert bench.switchover.running.key == "pump-1"


def test_a_step_that_hangs_ends_the_process_once_the_disk_knows(bench: Bench) -> None:
    bench.on_trial()
    bench.source.busy_s = bench.clock.now_s
    bench.clock.now_s += HANG_S
    bench.switchover.look()
    assert "restart" not in bench.calls
    bench.clock.now_s += 1
    bench.switchover.look()
    assert bench.calls[-1] == "restart"
    state = bench.store.read()
    assert (state.current, state.rejected) == ("pump-1", {"pump-2": "hung"})


def test_a_step_of_a_committed_bundle_is_not_looked_at(bench: Bench) -> None:
    """A machine that is suspended for a minute must not cost a good bundle."""
    bench.source.busy_s = 0.0
    bench.clock.now_s += 100 * HANG_S
    bench.switchover.look()
    assert bench.calls == []


def test_models_that_hang_when_they_are_opened_end_the_process(bench: Bench) -> None:
    bench.install(2)
    bench.switchover.look()
    bench.openings[0].hangs = True
    bench.switchover.look()
    assert bench.calls == ["restart"]
    assert bench.store.read().rejected == {"pump-2": "hung"}


def test_an_exception_without_anything_kept_begins_the_process_anew(
    bench: Bench,
) -> None:
    """The agent was started while the bundle was on trial: the worker is dead."""
    bench.on_trial()
    bench.source.watch.failure = "error"
    bench.source.error = ZeroDivisionError()
    bench.switchover.look()
    assert bench.calls[-1] == "restart"
    assert bench.store.read().current == "pump-1"


class Full(Quick):
    def write(self, fd: int, raw: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_commit_waits_for_room_on_the_disk(bench: Bench) -> None:
    bench.on_trial()
    bench.source.hear(NEEDED)
    room, full = bench.store._disk, Full()
    bench.store._file._disk = full
    bench.switchover.look()
    assert bench.told[-1] == ("pump-2", "trial", "commit", "disk_full")
    count = len(bench.reports)
    bench.switchover.look()
    assert len(bench.reports) == count  # not each time that it looks
    bench.store._file._disk = room
    bench.clock.now_s += RETRY_S
    bench.switchover.look()
    assert bench.reports[-1].state == "committed"
    assert bench.store.read().trial is None


def test_a_bad_bundle_gives_way_although_the_disk_is_full(bench: Bench) -> None:
    bench.on_trial()
    room = bench.store._disk
    bench.store._file._disk = Full()
    bench.source.watch.not_finite = True
    bench.switchover.look()
    bench.switchover.look()
    assert bench.switchover.running.key == "pump-1"
    assert bench.told[-1] == ("pump-2", "rolled_back", "trial", "not_finite")
    bench.clock.now_s += 2 * RETRY_S
    bench.switchover.look()
    assert bench.switchover.running.key == "pump-1"
    bench.store._file._disk = room
    bench.clock.now_s += 2 * RETRY_S
    bench.switchover.look()
    assert bench.store.read().rejected == {"pump-2": "not_finite"}


def test_what_became_of_the_last_bundle_is_told_at_the_start(bench: Bench) -> None:
    bench.install(2)
    bench.store.change(lambda s: s.rolled_back("starts"))
    bench.switchover.begin()
    assert bench.told == [("pump-2", "rolled_back", "trial", "starts")]


def test_a_trial_that_goes_on_is_told_at_the_start(bench: Bench) -> None:
    bench.on_trial()
    bench.reports.clear()
    bench.switchover.begin()
    assert bench.told == [("pump-2", "trial", "trial", None)]
