"""A bundle is installed step by step, and what runs is safe until the last one."""

import errno
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.staged import Staged
from asd_agent.bundle.state import BASE
from asd_agent.errors import AsdError, BundleError, RuntimeMissing, SiteError
from asd_agent.update.desired import Desired
from asd_agent.update.fetch import FolderFetcher, Told
from asd_agent.update.report import Report
from support.bundles import MODEL, key_pair, sign
from support.crashes import Quick
from support.updates import Device, desired_of


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device that has installed pump-1 and committed it."""
    made = Device(tmp_path, Quick())
    made.install(made.build("pump-1", 1))
    made.reports.clear()
    return made


def refused(device: Device, folder: Path, **acts: Any) -> BundleError:
    """Install what must not be installed; what runs is as it was."""
    before = device.store.read().current
    with pytest.raises(BundleError) as error:
        device.installer(**acts).run(desired_of(folder), FolderFetcher(folder))
    state = device.store.read()
    assert (state.current, state.trial) == (before, None)
    assert device.said[-1][0] in {"rejected", "downloading"}
    assert device.reports[-1].reason == error.value.reason
    return error.value


class Served:
    """A fetcher that notes what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self._folder = FolderFetcher(folder)

    def fetch(self, staged: Staged, stop: Event, progress: Told) -> None:
        self.asked += staged.missing()
        self._folder.fetch(staged, stop, progress)


def test_every_step_is_told_and_the_bundle_is_on_trial(device: Device) -> None:
    folder = device.build("pump-2", 2, members=2)
    asked: list[tuple[str, Path]] = []
    installer = device.installer(
        prove=lambda path, _: asked.append(("prove", path)),
        relearn=lambda path, _: asked.append(("relearn", path)),
    )
    assert installer.run(desired_of(folder), FolderFetcher(folder)) == "pump-2"
    assert device.said == [
        ("downloading", "fetch", None),
        ("verifying", "verify", None),
        ("testing", "self-test", None),
        ("testing", "re-learn", None),
        ("testing", "switch", None),
    ]
    assert [what for what, _ in asked] == ["prove", "relearn"]
    last = device.reports[-1]
    assert (last.id, last.version, last.bytes) == ("pump-2", 2, last.total)
    assert last.total == sum(
        path.stat().st_size for path in folder.iterdir() if "manifest" not in path.name
    )
    state = device.store.read()
    assert (state.current, state.previous) == ("pump-2", "pump-1")
    assert state.trial is not None
    assert state.trial.starts == 0
    Bundle.open(device.store.path("pump-2"), device.trust)
    assert sorted(p.name for p in device.store.folder.iterdir() if p.is_dir()) == [
        "pump-1",
        "pump-2",
    ]


def test_a_file_that_is_here_is_not_fetched_again(device: Device) -> None:
    served = Served(device.build("pump-2", 2, members=2))
    device.installer().run(desired_of(served._folder._path), served)
    assert served.asked == ["golden.safetensors"]
    assert (device.store.path("pump-2") / MODEL.file).is_file()


def test_a_bundle_that_is_signed_by_nobody_we_know_is_not_fetched(
    device: Device, tmp_path: Path
) -> None:
    other, _ = key_pair(tmp_path, "other")
    folder = sign(device.build("pump-2", 2), other)
    served = Served(folder)
    with pytest.raises(BundleError) as error:
        device.installer().run(desired_of(folder), served)
    assert error.value.reason == "untrusted"
    assert served.asked == []
    assert device.said == [("rejected", "verify", "untrusted")]
    assert device.store.read().rejected == {}


def test_without_keys_it_is_said_what_to_configure(tmp_path: Path) -> None:
    made = Device(tmp_path, Quick())
    folder = made.build("pump-2", 2)
    installer = made.installer()
    installer._trust = type(made.trust)()
    with pytest.raises(BundleError, match=r"bundle\.trusted_keys") as error:
        installer.run(desired_of(folder), FolderFetcher(folder))
    assert error.value.reason == "untrusted"


def test_an_older_bundle_is_refused_and_not_remembered(device: Device) -> None:
    device.install(device.build("pump-5", 5))
    assert refused(device, device.build("pump-4", 4)).reason == "not_newer"
    assert device.store.read().rejected == {}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BundleError("no", "differs"), "differs"),
        (BundleError("no", "hung"), "hung"),
        (BundleError("no", "crashed"), "crashed"),
        (BundleError("no", "not_finite"), "not_finite"),
    ],
)
@pytest.mark.parametrize("act", ["prove", "relearn"])
def test_a_bundle_that_fails_a_test_is_never_tried_again(
    device: Device, act: str, error: BundleError, reason: str
) -> None:
    def fail(_folder: Path, _stop: Event) -> None:
        raise error

    folder = device.build("pump-2", 2)
    assert refused(device, folder, **{act: fail}).reason == reason
    step = {"prove": "self-test", "relearn": "re-learn"}[act]
    assert device.said[-1] == ("rejected", step, reason)
    assert device.store.read().rejected == {"pump-2": reason}
    # What was fetched of it is gone, and it is not even fetched again.
    assert not list(device.store.folder.glob(".part-*"))
    assert refused(device, folder).reason == "rejected_before"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BundleError("no", "nothing_kept"), "nothing_kept"),
        (BundleError("no", "disk_full"), "disk_full"),
        (RuntimeMissing("no"), "no_runtime"),
        (SiteError("no"), "broken"),
    ],
)
def test_what_is_no_fault_of_the_bundle_is_not_remembered(
    device: Device, error: AsdError, reason: str
) -> None:
    def fail(_folder: Path, _stop: Event) -> None:
        raise error

    folder = device.build("pump-2", 2)
    assert refused(device, folder, relearn=fail).reason == reason
    assert device.store.read().rejected == {}
    # What was fetched is still there.
    served = Served(folder)
    device.installer().run(desired_of(folder), served)
    assert served.asked == []


def test_a_file_that_changes_after_the_fetch_is_found(device: Device) -> None:
    folder = device.build("pump-2", 2)

    class Altering(Served):
        def fetch(self, staged: Staged, stop: Event, progress: Told) -> None:
            super().fetch(staged, stop, progress)
            (staged.path / MODEL.file).write_bytes(b"another")

    with pytest.raises(BundleError) as error:
        device.installer().run(desired_of(folder), Altering(folder))
    assert error.value.reason == "changed"
    assert device.said[-1] == ("rejected", "verify", "changed")
    assert device.store.read().current == "pump-1"


@pytest.mark.parametrize("at", ["fetch", "self-test", "re-learn", "switch"])
def test_it_can_be_stopped_at_every_step_and_goes_on_later(
    device: Device, at: str
) -> None:
    stop = Event()

    def report(told: Report) -> None:
        device.reports.append(told)
        if told.step == at:
            stop.set()

    def obeys(_folder: Path, wanted: Event) -> None:
        if wanted.is_set():
            raise BundleError("ended with the agent", "stopped")

    folder = device.build("pump-2", 2, members=2)
    installer = device.installer(prove=obeys, relearn=obeys, report=report)
    if at == "switch":
        # Past the last safe point.
        installer.run(desired_of(folder), FolderFetcher(folder), stop)
        assert device.store.read().current == "pump-2"
        return
    with pytest.raises(BundleError) as error:
        installer.run(desired_of(folder), FolderFetcher(folder), stop)
    assert error.value.reason == "stopped"
    assert {report.state for report in device.reports}.isdisjoint({"rejected"})
    assert device.store.read().current == "pump-1"
    device.installer().run(desired_of(folder), FolderFetcher(folder))
    assert device.store.read().current == "pump-2"


def test_a_bundle_that_ends_the_agent_three_times_is_rejected(device: Device) -> None:
    class Killed(BaseException):
        """As SIGKILL: nothing is tidied up."""

    def kill(_folder: Path, _stop: Event) -> None:
        raise Killed

    folder = device.build("pump-2", 2)
    for _ in range(3):
        installer = device.installer(prove=kill)
        installer._tries.end = lambda: None  # type: ignore[method-assign]  # never reached
        with pytest.raises(Killed):
            installer.run(desired_of(folder), FolderFetcher(folder))
    assert refused(device, folder).reason == "crashed"
    assert device.store.read().rejected == {"pump-2": "crashed"}


class Full(Quick):
    """A medium that is full for files of some name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, fd: int, raw: bytes) -> None:
        if self.name in str(Path(f"/proc/self/fd/{fd}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, raw)


@pytest.mark.parametrize(
    ("name", "step"),
    [("golden", "fetch"), ("tries", "self-test"), ("state.json", "switch")],
)
def test_a_full_disk_leaves_what_runs(device: Device, name: str, step: str) -> None:
    folder = device.build("pump-2", 2, members=2)
    device.disk = Full(name)
    assert refused(device, folder).reason == "disk_full"
    assert device.said[-1] == ("rejected", step, "disk_full")
    device.disk = Quick()
    device.installer().run(desired_of(folder), FolderFetcher(folder))
    assert device.store.read().current == "pump-2"


def test_a_test_that_fails_is_told_although_the_disk_is_full(device: Device) -> None:
    def fail(_folder: Path, _stop: Event) -> None:
        device.disk.__class__ = Full  # from now on
        raise BundleError("no", "differs")

    device.disk = Quick()
    device.disk.name = "state.json"  # type: ignore[attr-defined]
    folder = device.build("pump-2", 2)
    assert refused(device, folder, prove=fail).reason == "differs"
    assert device.said[-1] == ("rejected", "self-test", "differs")


def test_a_broken_current_bundle_does_not_keep_a_new_one_away(device: Device) -> None:
    (device.store.path("pump-1") / "manifest.json").unlink()
    folder = device.build("pump-2", 2)
    device.installer().run(desired_of(folder), FolderFetcher(folder))
    assert device.store.read().current == "pump-2"


def test_before_anything_is_installed_every_version_is_newer(tmp_path: Path) -> None:
    made = Device(tmp_path, Quick())
    folder = made.build("pump-1", 1)
    made.installer().run(desired_of(folder), FolderFetcher(folder))
    state = made.store.read()
    assert (state.current, state.previous) == ("pump-1", BASE)


def test_what_the_message_calls_a_bundle_does_not_count(device: Device) -> None:
    folder = device.build("pump-2", 2)
    wish = desired_of(folder)
    lie = Desired(wish.raw, wish.signature, None, "pump-1", 99)
    assert device.installer().run(lie, FolderFetcher(folder)) == "pump-2"
    assert {report.id for report in device.reports} == {"pump-2"}
