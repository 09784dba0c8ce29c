"""One whole bundle is current, whatever happens and wherever it happens."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.staged import Staged
from asd_agent.bundle.state import BASE, FRESH, StoreState, decode, encode
from asd_agent.bundle.state_file import KEPT_BROKEN
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import Trust
from asd_agent.errors import BundleError
from support.bundles import MODEL, forge, key_pair, public, reforge, sign
from support.crashes import Crash, CrashingDisk, Quick, Recorder

SIGNED_BY = "factory"


class Shelf:
    """Signed bundles ``pump-1``, ``pump-2`` ... as a builder has them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, _ = key_pair(folder)
        self.trust = Trust(keys=(public(self.key),))
        for version in (1, 2, 3):
            self.add(f"pump-{version}", version)

    def add(self, bundle: str, version: int) -> Path:
        path = forge(self.folder / bundle, id=bundle, version=version)
        reforge(path, MODEL.file, bytes([version]) * 3000)
        return sign(path, self.key)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def store(tmp_path: Path, shelf: Shelf) -> Store:
    return Store(tmp_path / "state" / "bundles", trust=shelf.trust)


@contextmanager
def refusal(reason: str) -> Generator[pytest.ExceptionInfo[BundleError], None, None]:
    with pytest.raises(BundleError) as caught:
        yield caught
    assert caught.value.reason == reason


def stage(store: Store, source: Path) -> Staged:
    raw = (source / "manifest.json").read_bytes()
    return store.stage(raw, (source / "manifest.sig").read_bytes())


def fetched(store: Store, source: Path) -> Staged:
    staged = stage(store, source)
    for name in staged.missing():
        staged.append(name, (source / name).read_bytes()[staged.partial(name) :])
        staged.finish(name)
    return staged


def install(store: Store, source: Path) -> str:
    """Install a bundle and let it pass its trial."""
    staged = fetched(store, source)
    store.install(staged)
    bundle, version = staged.manifest.id, staged.manifest.version
    store.change(lambda state: state.switched(bundle, version))
    store.change(lambda state: state.committed(of=bundle))
    store.tidy()
    return bundle


def names(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir()} - {".lock"}


def test_nothing_is_written_to_look(store: Store) -> None:
    assert store.read() == FRESH
    assert store.start() == FRESH
    assert store.version() is None
    assert store.bundles() == []
    assert store.tidy() == []
    assert not store.folder.exists()


def test_bundles_are_installed_one_after_the_other(store: Store, shelf: Shelf) -> None:
    for version in (1, 2, 3):
        assert install(store, shelf.folder / f"pump-{version}") == f"pump-{version}"
        assert store.version() == version
        opened = Bundle.open(store.path(store.read().current), shelf.trust)
        assert opened.manifest.version == version
    state = store.read()
    assert (state.current, state.previous, state.trial) == ("pump-3", "pump-2", None)
    assert names(store) == {"state.json", "pump-2", "pump-3"}


def test_an_installed_bundle_does_not_run_yet(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    path = store.install(fetched(store, shelf.folder / "pump-2"))
    assert path == store.path("pump-2")
    assert Bundle.open(path, shelf.trust).manifest.version == 2
    assert store.read().current == "pump-1"


def test_the_order_of_an_install(store: Store, shelf: Shelf) -> None:
    disk = Recorder()
    staged = fetched(Store(store.folder, disk), shelf.folder / "pump-1")
    disk.log.clear()
    Store(store.folder, disk).install(staged)
    assert disk.log == [
        "sync golden.safetensors",
        "sync manifest.json",
        "sync manifest.sig",
        f"sync {MODEL.file}",
        "sync .part-pump-1",
        "open .lock",
        "rename .part-pump-1 pump-1",
        "sync bundles",
    ]


def test_what_is_installed_already_is_installed(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    before = store.path("pump-1").stat().st_ino
    assert store.install(fetched(store, shelf.folder / "pump-1")).is_dir()
    assert store.path("pump-1").stat().st_ino == before
    assert names(store) == {"state.json", "pump-1"}


def test_a_damaged_bundle_is_installed_anew(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    for damage in (MODEL.file, "manifest.json", "manifest.sig"):
        (store.path("pump-1") / damage).write_bytes(b"?")
        store.install(fetched(store, shelf.folder / "pump-1"))
        Bundle.open(store.path("pump-1"), shelf.trust)
    store.tidy()
    assert names(store) == {"state.json", "pump-1"}


def test_another_bundle_of_the_same_id(
    store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    other = shutil.copytree(shelf.folder / "pump-1", tmp_path / "other")
    reforge(other, MODEL.file, b"other")
    sign(other, shelf.key)
    install(store, shelf.folder / "pump-1")
    with refusal("changed") as caught:
        store.install(fetched(store, other))
    assert "under an id of its own" in str(caught.value)
    install(store, shelf.folder / "pump-2")
    with refusal("changed"):  # it is what would be returned to
        store.install(fetched(store, other))
    install(store, shelf.folder / "pump-3")
    store.install(fetched(store, other))  # nobody needs the old one
    assert (store.path("pump-1") / MODEL.file).read_bytes() == b"other"


def test_only_what_is_whole_is_installed(store: Store, shelf: Shelf) -> None:
    with refusal("missing_file"):
        store.install(stage(store, shelf.folder / "pump-1"))
    staged = fetched(store, shelf.folder / "pump-1")
    (staged.path / "extra").touch()
    with refusal("extra_file"):
        store.install(staged)
    assert store.bundles() == []


def test_too_large(store: Store, shelf: Shelf) -> None:
    small = Store(store.folder, max_bytes=5000)
    with refusal("too_large") as caught:
        stage(small, shelf.folder / "pump-1")
    assert "at most 5000 are allowed" in str(caught.value)
    assert "bundle.max_bytes" in str(caught.value)
    assert not store.folder.exists()


def test_a_fetch_goes_on_after_a_restart(store: Store, shelf: Shelf) -> None:
    staged = stage(store, shelf.folder / "pump-1")
    staged.append(MODEL.file, b"\1" * 1000)
    del staged
    again = Store(store.folder, trust=shelf.trust)
    again.start()
    again.tidy()
    staged = stage(again, shelf.folder / "pump-1")
    assert staged.partial(MODEL.file) == 1000


def test_a_fetch_that_is_begun_again_ends_the_former(
    store: Store, shelf: Shelf
) -> None:
    former = stage(store, shelf.folder / "pump-1")
    assert stage(store, shelf.folder / "pump-1").missing() == former.missing()
    stage(store, shelf.folder / "pump-2")
    assert names(store) == {".part-pump-2"}


def test_what_another_process_fetches_is_left_alone(store: Store, shelf: Shelf) -> None:
    staged = stage(store, shelf.folder / "pump-1")
    other = Store(store.folder)
    with refusal("unavailable"):
        stage(other, shelf.folder / "pump-1")
    stage(other, shelf.folder / "pump-2")
    other.tidy()
    assert names(store) >= {".part-pump-1", ".part-pump-2"}
    staged.append(MODEL.file, b"\1")


def test_what_is_not_installed_cannot_run(store: Store) -> None:
    with refusal("missing_file"):
        store.change(lambda state: state.switched("pump-9"))
    assert store.read() == FRESH


def test_a_step_that_fails_changes_nothing(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    before = store.read()

    def fail(state: StoreState) -> StoreState:
        state.rolled_back("by_hand")
        raise BundleError("no", "error")

    with refusal("error"):
        store.change(fail)
    assert store.read() == before


def test_tidy_keeps_what_runs_and_what_was_before(store: Store, shelf: Shelf) -> None:
    for version in (1, 2, 3):
        store.install(fetched(store, shelf.folder / f"pump-{version}"))
    store.change(lambda state: state.switched("pump-3"))
    (store.folder / ".gone-pump-0").mkdir()
    for other in ("lost+found", "Notes", "state.json.old"):
        (store.folder / other).mkdir()  # none of ours
    assert store.tidy() == ["pump-1", "pump-2"]
    others = {"lost+found", "Notes", "state.json.old"}
    assert names(store) == {"state.json", "pump-3"} | others
    assert store.tidy() == []


def test_the_fourth_start_of_a_trial_rolls_back(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    store.install(fetched(store, shelf.folder / "pump-2"))
    store.change(lambda state: state.switched("pump-2"))
    for starts in (1, 2, 3):
        state = Store(store.folder, trust=shelf.trust).start()
        assert state == store.read()
        assert state.trial is not None
        assert (state.current, state.trial.starts) == ("pump-2", starts)
    state = Store(store.folder, trust=shelf.trust).start()
    assert state == store.read()
    assert (state.current, state.rejected) == ("pump-1", {"pump-2": "starts"})


def test_a_start_is_counted_before_anything_is_read(store: Store, shelf: Shelf) -> None:
    store.install(fetched(store, shelf.folder / "pump-1"))
    store.change(lambda state: state.switched("pump-1"))
    # What makes the device stop may be anything of the bundle, so nothing of it is
    # touched before the medium holds the count.
    shutil.rmtree(store.path("pump-1"))
    disk = CrashingDisk(6)
    with pytest.raises(Crash):
        Store(store.folder, disk).start()
    assert disk.log[-1] == "sync bundles"
    trial = store.read().trial
    assert trial is not None
    assert trial.starts == 1


def _flip(path: Path) -> None:
    raw = bytearray((path / MODEL.file).read_bytes())
    raw[-1] ^= 1
    (path / MODEL.file).write_bytes(raw)


def _unsign(path: Path) -> None:
    (path / "manifest.sig").unlink()


def _add(path: Path) -> None:
    (path / "extra").touch()


@pytest.mark.parametrize("damage", [_flip, _unsign, _add, shutil.rmtree])
def test_a_start_passes_over_what_is_damaged(
    store: Store, shelf: Shelf, damage: Callable[[Path], None]
) -> None:
    install(store, shelf.folder / "pump-1")
    install(store, shelf.folder / "pump-2")
    damage(store.path("pump-2"))
    state = store.start()
    assert (state.current, state.trial, state.rejected) == ("pump-1", None, {})
    assert state.news is not None
    assert (state.news.id, state.news.reason) == ("pump-2", "broken")
    # It is not the bundle's fault: it may come again.
    install(store, shelf.folder / "pump-2")
    assert store.start().current == "pump-2"
    damage(store.path("pump-2"))
    damage(store.path("pump-1"))
    assert store.start().current == BASE


def test_a_roll_back_to_what_is_not_there(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    store.install(fetched(store, shelf.folder / "pump-2"))
    store.change(lambda state: state.switched("pump-2"))
    shutil.rmtree(store.path("pump-1"))
    state = store.change(lambda state: state.rolled_back("hung"))
    assert (state.current, state.rejected) == (BASE, {"pump-2": "hung"})
    assert state.news is not None
    assert (state.news.id, state.news.reason) == ("pump-2", "hung")


BROKEN = [
    b"",
    b"{",
    b"\0" * 300,
    b'{"current": "../x"}',
    b"x" * 100_000,
    b'{"v": 1, "current": "pump-1", "trial": {"starts": 99}}',
]


@pytest.mark.parametrize("raw", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_state_is_set_aside(store: Store, shelf: Shelf, raw: bytes) -> None:
    install(store, shelf.folder / "pump-1")
    install(store, shelf.folder / "pump-2")
    (store.folder / "state.json").write_bytes(raw)
    state = store.start()
    assert (state.current, state.previous) == ("pump-2", "pump-1")
    assert state.trial is not None
    assert state.trial.starts == 1
    (aside,) = store.folder.glob("state.json.broken-*")
    assert aside.read_bytes() == raw[:65_537]
    assert store.change(lambda state: state.committed()).current == "pump-2"


def test_a_broken_state_and_a_broken_bundle(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    install(store, shelf.folder / "pump-2")
    (store.folder / "state.json").write_bytes(b"?")
    _flip(store.path("pump-2"))
    assert store.read().current == "pump-1"
    (store.folder / "state.json").write_bytes(b"?")
    _unsign(store.path("pump-1"))
    assert store.read() == FRESH
    assert install(store, shelf.folder / "pump-3") == "pump-3"


def test_something_else_in_place_of_the_state(
    store: Store, shelf: Shelf, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(encode(StoreState(current="pump-9")))
    install(store, shelf.folder / "pump-1")
    state = store.folder / "state.json"
    state.unlink()
    state.symlink_to(victim)
    assert store.start().current == "pump-1"
    assert decode(victim.read_bytes()).current == "pump-9"
    state.unlink()
    state.mkdir()
    assert store.start().current == "pump-1"
    assert state.is_file()


def test_not_all_broken_states_are_kept(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    for day in range(10, 20):
        (store.folder / f"state.json.broken-202601{day}T000000Z").touch()
    store.tidy()
    left = sorted(store.folder.glob("state.json.broken-*"))
    assert len(left) == KEPT_BROKEN
    assert left[-1].name == "state.json.broken-20260119T000000Z"


def test_a_folder_that_cannot_be_written(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "bundles")
    with pytest.raises(BundleError, match="set state_dir to one that it may write"):
        stage(store, shelf.folder / "pump-1")
    with pytest.raises(BundleError, match="set state_dir to one that it may write"):
        store.change(lambda state: state.refused("pump-1", "hung"))


REJECT = """
import sys
from pathlib import Path
from asd_agent.bundle.store import Store
store = Store(Path(sys.argv[1]))
for i in range(20):
    store.change(lambda state: state.refused(f"{sys.argv[2]}-{i}", "hung"))
"""


def test_processes_change_the_state_in_a_row(tmp_path: Path) -> None:
    store = Store(tmp_path)
    others = [
        subprocess.Popen([sys.executable, "-c", REJECT, tmp_path, name])
        for name in ("pump", "fan")
    ]
    assert [other.wait(60) for other in others] == [0, 0]
    assert len(store.read().rejected) == 40


def upgrade(store: Store, shelf: Shelf) -> None:
    """From a committed ``pump-2`` to a committed ``pump-3``, as the agent does it."""
    store.start()
    install(store, shelf.folder / "pump-3")


def primitives(template: Path, work: Path, shelf: Shelf) -> int:
    shutil.copytree(template, work)
    disk = Recorder()
    upgrade(Store(work, disk, shelf.trust), shelf)
    return len(disk.log)


@pytest.mark.parametrize(("torn", "broken"), [(False, False), (True, True)])
def test_a_crash_after_any_change_of_the_disk(
    tmp_path: Path, shelf: Shelf, torn: bool, broken: bool
) -> None:
    template = tmp_path / "template"
    store = Store(template, trust=shelf.trust)
    for version in (1, 2):
        install(store, shelf.folder / f"pump-{version}")
    if broken:
        (template / "state.json").write_bytes(b"?")
    count = primitives(template, tmp_path / "whole", shelf)
    assert count > 30
    found = []
    for after in range(count):
        work = tmp_path / str(after)
        shutil.copytree(template, work)
        with pytest.raises(Crash):
            upgrade(Store(work, CrashingDisk(after, torn=torn), shelf.trust), shelf)
        found.append(_survivor(work, shelf))
        shutil.rmtree(work)
    # First always the old one, and from one change on always the new one.
    assert found == sorted(found)
    assert set(found) == {2, 3}


def _survivor(folder: Path, shelf: Shelf) -> int:
    """Version that runs after a crash, once all has been looked at."""
    if (folder / "state.json").read_bytes() != b"?":
        decode((folder / "state.json").read_bytes())
    store = Store(folder, Quick(), shelf.trust)
    state = store.start()
    version = Bundle.open(store.path(state.current), shelf.trust).manifest.version
    if state.previous:
        Bundle.open(store.path(state.previous), shelf.trust)
    # Whatever the crash left is no hindrance.
    upgrade(store, shelf)
    state = store.read()
    assert (state.current, state.trial, state.rejected) == ("pump-3", None, {})
    Bundle.open(store.path("pump-3"), shelf.trust)
    assert not list(folder.glob(".gone-*"))
    assert not list(folder.glob(".part-*"))
    return version


def test_a_crash_during_a_roll_back(tmp_path: Path, shelf: Shelf) -> None:
    template = tmp_path / "template"
    store = Store(template, trust=shelf.trust)
    install(store, shelf.folder / "pump-1")
    store.install(fetched(store, shelf.folder / "pump-2"))
    store.change(lambda state: state.switched("pump-2"))
    found: list[tuple[str, dict[str, str]]] = []
    for after in range(20):
        work = tmp_path / str(after)
        shutil.copytree(template, work)
        crashing = Store(work, CrashingDisk(after), shelf.trust)
        try:
            crashing.change(lambda state: state.rolled_back("hung"))
            crashing.tidy()
        except Crash:
            state = Store(work, trust=shelf.trust).start()
            Bundle.open(work / state.current, shelf.trust)
            found.append((state.current, dict(state.rejected)))
    old: tuple[str, dict[str, str]] = ("pump-2", {})
    new = ("pump-1", {"pump-2": "hung"})
    # The lock is opened, then written, opened, flushed, renamed.
    assert found[:5] == [old] * 5
    assert found[5:] == [new] * len(found[5:])
    assert len(found) > 10


def test_the_state_is_text_that_people_can_read(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    found = json.loads((store.folder / "state.json").read_text())
    assert found["v"] == 1
    assert found["current"] == "pump-1"


class Full(Disk):
    """A medium that has no room left at all."""

    def write(self, fd: int, raw: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_without_room_the_state_is_as_it_was(store: Store, shelf: Shelf) -> None:
    install(store, shelf.folder / "pump-1")
    before = store.read()
    with refusal("disk_full"):
        Store(store.folder, Full()).change(lambda state: state.rolled_back("by_hand"))
    assert store.read() == before
    assert names(store) == {"state.json", "pump-1"}
