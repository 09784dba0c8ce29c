"""Clips keep within their room, and nothing but clips is ever removed."""

import errno
import os
import stat
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.disk import Disk
from asd_agent.clip_store import ClipStore
from asd_agent.mqtt.quiet import Quiet
from support.crashes import Crash, CrashingDisk, Quick, Recorder
from support.loop_disk import LoopDisk

MOST = 10_000


def name(number: int, source: str = "pump") -> str:
    return f"5f0c1e9a-{source}-{number}"


def files(size: int) -> dict[str, bytes]:
    """Files of one clip that take so many bytes."""
    return {".json": b"{}", ".flac": bytes(size - 2)}


def store_in(folder: Path, disk: Disk | None = None, most: int = MOST) -> ClipStore:
    return ClipStore(folder, most, disk or Quick(), Quiet(), spare_bytes=0)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def numbers_in(folder: Path) -> list[int]:
    return sorted(int(path.stem.split("-")[-1]) for path in folder.glob("*.flac"))


def test_a_clip_is_for_its_owner_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path / "state" / "clips")
    store.write(name(1), {".json": b"{}", ".flac": b"fLaC"})
    folder = tmp_path / "state" / "clips"
    assert names_in(folder) == ["5f0c1e9a-pump-1.flac", "5f0c1e9a-pump-1.json"]
    assert (folder / "5f0c1e9a-pump-1.flac").read_bytes() == b"fLaC"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.bytes == 6


def test_the_rights_of_a_folder_that_is_there_are_left(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    folder.chmod(0o750)
    store_in(folder).write(name(1), files(100))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_the_order_of_a_durable_write(tmp_path: Path) -> None:
    disk = Recorder()
    store_in(tmp_path, disk).write(name(1), {".json": b"{}", ".flac": b"fLaC"})
    assert disk.log == [
        line.replace("X", f"{name(1)}{ending}")
        for ending in (".json", ".flac")
        for line in (
            "open X.partial",
            "write X.partial",
            "sync X.partial",
            "rename X.partial X",
            f"sync {tmp_path.name}",
        )
    ]


@pytest.mark.parametrize("torn", [False, True])
def test_a_crash_anywhere_leaves_a_whole_clip_or_none(
    tmp_path: Path, torn: bool
) -> None:
    found = set()
    for after in count():
        folder = tmp_path / str(after)
        store_in(folder).write(name(1), files(1000))
        wanted = files(3000)
        try:
            store_in(folder, CrashingDisk(after, torn=torn)).write(name(2), wanted)
        except Crash:
            store_in(folder).tidy()
            found.add(tuple(numbers_in(folder)))
            assert len(names_in(folder)) == 2 * len(numbers_in(folder))
            for number, size in ((1, 998), (2, 2998)):
                flac = folder / f"{name(number)}.flac"
                assert not flac.exists() or flac.stat().st_size == size
        else:
            break
    assert after == 10
    assert found == {(1,), (1, 2)}


@given(sizes=st.lists(st.integers(3, 6000), max_size=30), most=st.integers(3, 20_000))
def test_clips_never_take_more_than_their_room(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], most: int
) -> None:
    folder = tmp_path_factory.mktemp("clips")
    store = store_in(folder, most=most)
    kept: list[int] = []
    for number, size in enumerate(sizes):
        if size > most:
            with pytest.raises(OSError, match="no room"):
                store.write(name(number), files(size))
        else:
            store.write(name(number), files(size))
            kept.append(number)
            while sum(sizes[n] for n in kept) > most:
                kept.pop(0)
        # As many of the newest as fit: none is removed that need not be.
        assert numbers_in(folder) == kept
        taken = sum(path.stat().st_size for path in folder.iterdir())
        assert store.bytes == taken <= most


class Watched(Quick):
    """Sees how much there is before each change."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.most = 0

    def write(self, fd: int, raw: bytes) -> None:
        super().write(fd, raw)
        taken = sum(path.stat().st_size for path in self._folder.iterdir())
        self.most = max(self.most, taken)


def test_room_is_made_before_a_clip_is_written(tmp_path: Path) -> None:
    disk = Watched(tmp_path)
    store = store_in(tmp_path, disk)
    for number in range(20):
        store.write(name(number), files(2400))
    assert numbers_in(tmp_path) == [16, 17, 18, 19]
    assert disk.most == 4 * 2400


def test_a_clip_that_can_never_fit_costs_no_other(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for number in range(4):
        store.write(name(number), files(2400))
    with pytest.raises(OSError, match="no room for 10001 bytes") as caught:
        store.write(name(9), files(MOST + 1))
    assert caught.value.errno == errno.ENOSPC
    assert numbers_in(tmp_path) == [0, 1, 2, 3]


def test_the_newest_is_the_one_written_last_whatever_the_clock(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write(name(7), files(3000))
    later_s = 4_000_000_000  # the clock was in the far future
    for path in tmp_path.iterdir():
        os.utime(path, (later_s, later_s))
    for number in (1, 9, 2, 8):
        store_in(tmp_path).write(name(number), files(3000))
    assert numbers_in(tmp_path) == [2, 8, 9]


class Stubborn(Quick):
    """A medium from which some files cannot be removed."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def remove(self, path: Path) -> None:
        if path.name in self._names:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        super().remove(path)


def test_a_file_that_cannot_be_removed_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_in(tmp_path, Stubborn(f"{name(0)}.flac"))
    for number in range(10):
        store.write(name(number), files(2400))
    assert numbers_in(tmp_path) == [0, 7, 8, 9]
    assert store.skipped == 6
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path}/{name(0)}.flac: cannot be removed (Operation not permitted); the "
        "next oldest goes. Remove it"
    ]
    store = store_in(tmp_path, Stubborn(*names_in(tmp_path)))
    with pytest.raises(OSError, match="no room"):
        store.write(name(99), files(2400))
    assert numbers_in(tmp_path) == [0, 7, 8, 9]


ODD = (
    "notes.txt",
    "song.flac",
    "5f0c1e9a-pump-80000.wav",
    "5f0c1e9a-pump-80000.flac.bak",
    "5f0c1e9a-pump-.flac",
    "5F0C1E9A-pump-80000.flac",
    "5f0c1e9a-pump-80000.flac\n",
    "5f0c1e9a-pümp-80000.flac",
    "5f0c1e9a-pump-8\u0660.flac",
    ".flac",
    "\udcff\udcfe.flac",
)


def test_what_is_not_a_clip_is_neither_counted_nor_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for odd in ODD:
        (tmp_path / odd).write_bytes(bytes(9000))
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_bytes(bytes(9000))
    (tmp_path / f"{name(5)}.flac").symlink_to(outside)
    (tmp_path / f"{name(6)}.flac").mkdir()
    (tmp_path / f"{name(6)}.flac" / "mine").touch()
    os.mkfifo(tmp_path / f"{name(7)}.flac.partial")
    before = set(names_in(tmp_path))
    store = store_in(tmp_path)
    store.tidy()
    assert set(names_in(tmp_path)) == before
    for number in range(10, 16):
        store.write(name(number), files(4000))
    assert set(names_in(tmp_path)) - before == {
        f"{name(number)}{ending}" for number in (14, 15) for ending in files(2)
    }
    assert before <= set(names_in(tmp_path))
    assert store.bytes == 8000
    assert store.skipped > 0
    assert outside.stat().st_size == 9000
    (said,) = caplog.records
    assert "is no plain file; it is left alone" in said.getMessage()


def test_what_is_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path.parent / f"{tmp_path.name}-victim"
    victim.write_bytes(b"mine")
    (tmp_path / f"{name(1)}.flac.partial").symlink_to(victim)
    with pytest.raises(OSError, match="plain file"):
        store_in(tmp_path).write(name(1), files(100))
    assert victim.read_bytes() == b"mine"
    assert numbers_in(tmp_path) == []


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file")
    with pytest.raises(OSError, match="Not a directory"):
        store_in(tmp_path / "clips").tidy()
    with pytest.raises(OSError, match=r"Not a directory|File exists"):
        store_in(tmp_path / "clips").write(name(1), files(100))
    store_in(tmp_path / "none").tidy()


@pytest.mark.root
def test_a_real_disk_that_is_full_or_read_only(tmp_path: Path) -> None:
    with LoopDisk(tmp_path, 4_194_304, journal=False) as disk:
        root = disk.root
        store = ClipStore(root / "clips", 1 << 30, Disk(), Quiet(), spare_bytes=500_000)
        for number in range(20):
            store.write(name(number), files(400_000))
        # The disk is smaller than the room: its spare part is kept free.
        assert Disk().free_bytes(root) >= 500_000
        kept = numbers_in(root / "clips")
        assert kept == list(range(20 - len(kept), 20))
        assert 5 <= len(kept) <= 9

        eager = ClipStore(root / "clips", 1 << 30, Disk(), Quiet(), spare_bytes=0)
        filler = disk.fill()
        eager.write(name(20), files(400_000))  # makes room of the oldest
        assert numbers_in(root / "clips") == [*kept[1:], 20]
        for path in (root / "clips").iterdir():
            path.unlink()
        disk.fill()
        with pytest.raises(OSError, match=r"no room|No space left"):
            eager.write(name(21), files(400_000))
        assert names_in(root / "clips") == []

        filler.unlink()
        eager.write(name(22), files(400_000))
        disk.remount("ro")
        with pytest.raises(OSError, match="Read-only file system"):
            eager.write(name(23), files(400_000))
        with pytest.raises(OSError, match=r"no room"):
            store_in(root / "clips", Disk(), 500_000).write(name(23), files(400_000))
        disk.remount("rw")
        eager.write(name(24), files(400_000))
        assert numbers_in(root / "clips") == [22, 24]


class Lying(Disk):
    """A medium that has less room than it says."""

    def free_bytes(self, folder: Path) -> int:
        return super().free_bytes(folder) + (1 << 30)


@pytest.mark.root
def test_a_real_disk_that_fills_while_a_clip_is_written(tmp_path: Path) -> None:
    with LoopDisk(tmp_path, 4_194_304, journal=False) as disk:
        root = disk.root
        store = ClipStore(root / "clips", 1 << 30, Lying(), Quiet(), spare_bytes=0)
        store.write(name(1), files(1_000_000))
        store.write(name(2), files(1_000_000))
        (root / "other").write_bytes(bytes(Disk().free_bytes(root) - 500_000))
        for number in (3, 4):
            with pytest.raises(OSError, match="No space left"):
                store.write(name(number), files(1_000_000))
            assert numbers_in(root / "clips") == [1, 2]
            assert len(names_in(root / "clips")) == 4
