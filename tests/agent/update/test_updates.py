"""The newest wish is served; nothing is tried over and over without a pause."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from asd_agent.bundle.trust import Trust
from asd_agent.errors import BundleError
from asd_agent.update.desired import Desired
from asd_agent.update.report import Report
from asd_agent.update.updates import Answers, Pauses, Updater
from support.broker import wait_for
from support.crashes import Quick
from support.updates import Device, desired_of

A = Desired(b"a", b"", None, "pump-a", 1)
B = Desired(b"b", b"", None, "pump-b", 2)


class Work:
    """Stands for the installer: notes what it is asked for, and fails as told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails: list[Exception | None] = []
        self.hold = Event()
        self.hold.set()

    def __call__(self, desired: Desired, stop: Event) -> None:
        self.asked.append(desired.id)
        while not self.hold.wait(0.01):
            if stop.is_set():
                raise BundleError("no longer wanted", "stopped")
        error = self.fails.pop(0) if self.fails else None
        if error is not None:
            raise error


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def reports() -> list[Report]:
    return []


Start = Callable[..., Updater]


@pytest.fixture
def start(work: Work, reports: list[Report]) -> Iterator[Start]:
    """Start an updater, which ends with the test."""
    made: list[Updater] = []

    def begin(first_s: float = 0.01, answer: Report | None = None) -> Updater:
        updater = Updater(
            lambda _: answer, work, reports.append, pauses=Pauses(first_s, 60.0)
        )
        made.append(updater)
        updater.start()
        return updater

    yield begin
    for updater in made:
        updater.end()
        updater.join(5)
        assert not updater.is_alive()


def test_a_wish_is_served_once(start: Start, work: Work) -> None:
    updater = start()
    updater.desire(A)
    wait_for(lambda: work.asked == ["pump-a"], "it is served")
    assert not threading.Event().wait(0.1)
    assert work.asked == ["pump-a"]


def test_what_can_be_answered_is_no_work(
    start: Start, work: Work, reports: list[Report]
) -> None:
    answer = Report("pump-a", 1, "committed", "commit")
    updater = start(answer=answer)
    updater.desire(A)
    wait_for(lambda: reports == [answer], "the answer")
    # Each connection to the broker tells the wish again.
    updater.desire(A)
    wait_for(lambda: reports == [answer, answer], "the answer again")
    assert work.asked == []


def test_a_newer_wish_ends_the_work_for_an_older_one(start: Start, work: Work) -> None:
    work.hold.clear()
    updater = start()
    updater.desire(A)
    wait_for(lambda: work.asked == ["pump-a"], "the first is begun")
    updater.desire(B)
    wait_for(lambda: work.asked == ["pump-a", "pump-b"], "the second is begun")
    work.hold.set()


def test_the_same_wish_again_does_not_end_the_work(start: Start, work: Work) -> None:
    work.hold.clear()
    updater = start()
    updater.desire(A)
    wait_for(lambda: work.asked == ["pump-a"], "it is begun")
    updater.desire(A)
    assert not threading.Event().wait(0.05)
    assert work.asked == ["pump-a"]
    work.hold.set()


@pytest.mark.parametrize("reason", ["unavailable", "disk_full"])
def test_what_time_mends_is_tried_again_by_itself(
    start: Start, work: Work, reason: str
) -> None:
    work.fails = [BundleError("no", reason), BundleError("no", reason)]
    start().desire(A)
    wait_for(lambda: len(work.asked) == 3, "two attempts more")
    assert not threading.Event().wait(0.1)
    assert len(work.asked) == 3


@pytest.mark.parametrize("reason", ["untrusted", "nothing_kept", "hung", "changed"])
def test_other_failures_wait_until_the_wish_comes_again(
    start: Start, work: Work, reason: str
) -> None:
    work.fails = [BundleError("no", reason)]
    updater = start()
    updater.desire(A)
    wait_for(lambda: len(work.asked) == 1, "the first attempt")
    assert not threading.Event().wait(0.1)
    assert len(work.asked) == 1
    updater.desire(A)
    wait_for(lambda: len(work.asked) == 2, "the second attempt")


def test_a_broker_that_comes_and_goes_makes_no_busy_loop(
    start: Start, work: Work
) -> None:
    work.fails = [BundleError("no", "changed")] * 1000
    updater = start(first_s=60.0)
    for _ in range(100):
        updater.desire(A)
    wait_for(lambda: len(work.asked) == 1, "the first attempt")
    for _ in range(100):
        updater.desire(A)
    assert not threading.Event().wait(0.1)
    assert len(work.asked) == 1


def test_another_wish_does_not_wait_for_the_pause_of_the_first(
    start: Start, work: Work
) -> None:
    work.fails = [BundleError("no", "unavailable")]
    updater = start(first_s=60.0)
    updater.desire(A)
    wait_for(lambda: len(work.asked) == 1, "the first attempt")
    updater.desire(B)
    wait_for(lambda: work.asked == ["pump-a", "pump-b"], "the other")


def test_a_fault_in_the_software_is_told_and_the_next_wish_is_served(
    start: Start,
    work: Work,
    reports: list[Report],
    caplog: pytest.LogCaptureFixture,
) -> None:
    work.fails = [ZeroDivisionError("division by zero")]
    updater = start()
    updater.desire(A)
    wait_for(lambda: bool(reports), "the report")
    assert (reports[0].id, reports[0].state) == ("pump-a", "rejected")
    assert reports[0].reason == "broken"
    assert "ZeroDivisionError" in caplog.text
    updater.desire(B)
    wait_for(lambda: work.asked == ["pump-a", "pump-b"], "the next wish")


def test_a_message_that_holds_no_wish_is_told(
    start: Start, reports: list[Report]
) -> None:
    start().unreadable(BundleError("not JSON", "malformed"))
    assert [(r.id, r.state, r.reason) for r in reports] == [
        ("", "rejected", "malformed")
    ]


def test_pauses_grow_up_to_the_longest() -> None:
    pauses = Pauses(10.0, 100.0)
    longest = [pauses.after(n, lambda _, most: most) for n in range(1, 7)]
    assert longest == [10, 20, 40, 80, 100, 100]
    assert [pauses.after(n, lambda least, _: least) for n in (1, 99)] == [5, 50]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    made = Device(tmp_path, Quick())
    made.install(made.build("pump-1", 1))
    return made


def answers(device: Device, *, pinned: bool = False) -> Answers:
    return Answers(device.store, device.trust, pinned=pinned, progress=lambda: (7, 20))


def built(device: Device, name: str) -> Path:
    return device.folder / "built" / name


def test_a_bundle_that_runs_is_told_to_run(device: Device) -> None:
    wish = desired_of(built(device, "pump-1"))
    assert answers(device)(wish) == Report("pump-1", 1, "committed", "commit")


def test_a_bundle_on_trial_is_told_to_be(device: Device) -> None:
    folder = device.build("pump-2", 2)
    device.install(folder)
    device.store.change(lambda s: s.switched("pump-1", 1))
    found = answers(device)(desired_of(built(device, "pump-1")))
    assert found == Report("pump-1", 1, "trial", "trial", windows=7, needed=20)


def test_a_bundle_that_is_not_here_has_no_answer(device: Device) -> None:
    assert answers(device)(desired_of(device.build("pump-2", 2))) is None


def test_a_bundle_that_was_rolled_back_is_told_to_be(device: Device) -> None:
    folder = device.build("pump-2", 2)
    device.install(folder)
    device.store.change(lambda s: s.rolled_back("too_slow"))
    found = answers(device)(desired_of(folder))
    assert found is not None
    assert (found.id, found.state, found.reason) == (
        "pump-2",
        "rolled_back",
        "too_slow",
    )


def test_where_the_configuration_names_a_bundle_none_is_taken(device: Device) -> None:
    found = answers(device, pinned=True)(desired_of(built(device, "pump-1")))
    assert found is not None
    assert (found.state, found.reason) == ("rejected", "pinned")


def test_another_bundle_by_the_name_of_the_current_one_is_refused(
    device: Device, tmp_path: Path
) -> None:
    other = Device(tmp_path / "other", Quick())
    other.private = device.private
    found = answers(device)(desired_of(other.build("pump-1", 9)))
    assert found is not None
    assert (found.state, found.reason) == ("rejected", "not_newer")


def test_a_wish_that_is_not_to_be_trusted_learns_nothing(device: Device) -> None:
    """It is left to the installer, which refuses it."""
    wish = desired_of(built(device, "pump-1"))
    forged = Desired(wish.raw, bytes(64), None, "pump-1", 1)
    assert answers(device)(forged) is None
    nobody = Answers(device.store, Trust(), pinned=False, progress=lambda: (0, 0))
    assert nobody(wish) is None
