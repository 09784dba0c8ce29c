"""The state goes on in memory where it cannot be written, and is written later."""

import errno
from pathlib import Path

import pytest

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.state import BASE
from asd_agent.errors import BundleError
from asd_agent.update.book import RETRY_S, Book
from support.crashes import Quick
from support.updates import Device


class Full(Quick):
    """A medium on which nothing can be written while it is full."""

    full = False

    def write(self, fd: int, raw: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, raw)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def disk() -> Full:
    return Full()


@pytest.fixture
def device(tmp_path: Path, disk: Full) -> Device:
    """A device with pump-1 committed and pump-2 on trial."""
    made = Device(tmp_path, disk)
    for number in (1, 2):
        made.install(made.build(f"pump-{number}", number))
    made.store.change(lambda s: s.rolled_back("error"))
    made.store.change(lambda s: s.forgiven("pump-2").switched("pump-2", 2))
    return made


def test_a_change_of_another_process_is_seen(device: Device) -> None:
    book = Book(device.store)
    assert book.read().current == "pump-2"
    assert book.read() is book.read()
    device.store.change(lambda s: s.rolled_back("by_hand"))
    assert book.read().current == "pump-1"


def test_a_change_is_on_the_disk_when_it_is_made(device: Device) -> None:
    assert Book(device.store).change(lambda s: s.committed()).trial is None
    assert device.store.read().trial is None


def test_what_cannot_be_written_holds_and_is_written_later(
    device: Device, disk: Full
) -> None:
    clock = Clock()
    book = Book(device.store, clock)
    disk.full = True
    assert book.change(lambda s: s.rolled_back("hung")).current == "pump-1"
    assert device.store.read().current == "pump-2"
    # What runs is what the book says, however long the disk is full.
    clock.now_s += 2 * RETRY_S
    assert book.read().current == "pump-1"
    disk.full = False
    assert book.read().current == "pump-1"
    clock.now_s += 2 * RETRY_S
    assert book.read().current == "pump-1"
    state = device.store.read()
    assert (state.current, state.rejected["pump-2"]) == ("pump-1", "hung")


def test_a_second_change_waits_behind_the_first(device: Device, disk: Full) -> None:
    clock = Clock()
    book = Book(device.store, clock)
    disk.full = True
    book.change(lambda s: s.rolled_back("hung"))
    disk.full = False
    assert book.change(lambda s: s.rolled_back("too_slow")).current == BASE
    clock.now_s += 2 * RETRY_S
    assert book.read().rejected == {"pump-2": "hung", "pump-1": "too_slow"}
    assert device.store.read().current == BASE


def test_a_commit_is_on_the_disk_or_is_none(device: Device, disk: Full) -> None:
    book = Book(device.store)
    disk.full = True
    with pytest.raises(BundleError, match="disk is full"):
        book.settle(lambda s: s.committed())
    assert book.read().trial is not None
    disk.full = False
    assert book.settle(lambda s: s.committed()).trial is None


def test_a_start_of_a_trial_that_cannot_be_counted_is_none(
    device: Device, disk: Full
) -> None:
    """It could be one of many: a device that starts over and over fills its disk."""
    disk.full = True
    state = Book(device.store).start()
    assert (state.current, state.trial) == ("pump-1", None)
    disk.full = False
    # It is no fault of the bundle.
    assert device.store.read().rejected == {}


def test_a_start_without_a_trial_writes_nothing(device: Device, disk: Full) -> None:
    device.store.change(lambda s: s.committed())
    disk.full = True
    assert Book(device.store).start().current == "pump-2"


def test_a_state_that_cannot_be_read_any_more_stays_as_it_was_known(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(device.store)
    before = book.read()
    device.store.change(lambda s: s.committed())

    def fail() -> None:
        raise BundleError("cannot be read")

    monkeypatch.setattr(book._store, "read", fail)
    assert book.read() == before


def test_without_a_store_the_base_bundle_runs(tmp_path: Path) -> None:
    made = Device(tmp_path, Disk())
    book = Book(made.store)
    assert book.start().current == BASE
    assert book.read().current == BASE
    assert not made.store.folder.exists()
