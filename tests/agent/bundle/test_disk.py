"""A write is whole or not at all, and nothing but plain files is touched."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asd_agent.bundle import lock
from asd_agent.bundle.disk import (
    CHUNK_BYTES,
    Disk,
    NotPlain,
    hash_plain,
    open_plain,
    read_plain,
    told,
)
from asd_agent.bundle.lock import hold, locked, remove_unless_held
from asd_agent.errors import BundleError
from support.crashes import Crash, CrashingDisk, Recorder

DISK = Disk()


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state"
    for raw in (b"old", b"", b"new" * 1000):
        DISK.write_whole(path, raw)
        assert path.read_bytes() == raw
    assert list(tmp_path.iterdir()) == [path]


def test_the_order_of_a_durable_write(tmp_path: Path) -> None:
    disk = Recorder()
    disk.write_whole(tmp_path / "state", b"new")
    assert disk.log == [
        "open state.partial",
        "write state.partial",
        "sync state.partial",
        "rename state.partial state",
        f"sync {tmp_path.name}",
    ]


def test_a_crash_anywhere_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    found = []
    for after in range(5):
        DISK.write_whole(path, b"old")
        with pytest.raises(Crash):
            CrashingDisk(after).write_whole(path, b"new")
        found.append(path.read_bytes())
    assert found == [b"old"] * 4 + [b"new"]
    CrashingDisk(5).write_whole(path, b"newest")
    assert path.read_bytes() == b"newest"


class Full(Disk):
    """A medium without room."""

    def write(self, fd: int, raw: bytes) -> None:
        super().write(fd, raw[: len(raw) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_write_without_room_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "state"
    DISK.write_whole(path, b"old")
    with pytest.raises(OSError, match="No space left"):
        Full().write_whole(path, b"newer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "state.partial").symlink_to(victim)
    with pytest.raises(NotPlain):
        DISK.write_whole(tmp_path / "state", b"new")
    assert victim.read_bytes() == b"mine"


def test_a_second_name_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "other").hardlink_to(victim)
    with pytest.raises(NotPlain):
        DISK.open(tmp_path / "other", os.O_APPEND)
    assert read_plain(tmp_path / "other", 10) == b"mine"  # to read it does no harm


def odd(folder: Path) -> list[Path]:
    """What is no plain file."""
    (folder / "file").write_bytes(b"x")
    (folder / "link").symlink_to(folder / "file")
    (folder / "nowhere").symlink_to(folder / "none")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    return [folder / n for n in ("link", "nowhere", "circle", "folder", "pipe")] + [
        Path("/dev/zero")
    ]


def test_what_is_no_plain_file_is_neither_read_nor_written(tmp_path: Path) -> None:
    for path in odd(tmp_path):
        with pytest.raises(NotPlain, match="not a plain file"):
            open_plain(path)
        with pytest.raises(NotPlain, match="not a plain file"):
            DISK.open(path, os.O_CREAT | os.O_APPEND)
    assert not (tmp_path / "none").exists()


def test_reading_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # of a thousand billion zeros nothing is on the medium
    assert len(read_plain(path, 100)) == 101
    assert hash_plain(path, 100)[0] == 101
    most = CHUNK_BYTES * 2 + 5
    zeros = hashlib.sha256(bytes(most + 1)).hexdigest()
    assert hash_plain(path, most) == (most + 1, zeros)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_the_hash_is_that_of_the_content(tmp_path: Path, size: int) -> None:
    raw = os.urandom(size)
    (tmp_path / "file").write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()
    assert hash_plain(tmp_path / "file", size) == (size, digest)
    assert hash_plain(tmp_path / "file", size + 9) == (size, digest)


def test_folders_are_made_to_last(tmp_path: Path) -> None:
    disk = Recorder()
    disk.make_folders(tmp_path / "a" / "b")
    disk.make_folders(tmp_path / "a" / "b")
    assert disk.log == [
        "make_folder a",
        f"sync {tmp_path.name}",
        "make_folder b",
        "sync a",
    ]


def test_a_tree_is_removed_but_not_what_links_lead_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    tree = tmp_path / "tree"
    tree.mkdir()
    odd(tree)
    (tree / "out").symlink_to(outside)
    (tree / "folder" / "below").write_text("x")
    DISK.remove_tree(tree)
    DISK.remove_tree(tree)  # it is gone already
    link = tmp_path / "link"
    link.symlink_to(outside)
    DISK.remove_tree(link)
    assert list(tmp_path.iterdir()) == [outside]
    assert (outside / "file").read_text() == "mine"


def test_there_is_room(tmp_path: Path) -> None:
    assert DISK.free_bytes(tmp_path) > 0


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (OSError(errno.ENOSPC, "No space"), "disk_full", "Make room"),
        (OSError(errno.EDQUOT, "Quota"), "disk_full", "Make room"),
        (OSError(errno.EIO, "Input/output error"), "broken", "Input/output error"),
        (PermissionError(errno.EACCES, "denied", "/x"), "broken", "/x: cannot be wr"),
        (NotPlain(Path("/x")), "not_plain", "/x: is not a plain file"),
    ],
)
def test_errors_of_the_system_are_told(error: OSError, reason: str, text: str) -> None:
    with pytest.raises(BundleError, match=text) as caught, told(Path("here")):
        raise error
    assert caught.value.reason == reason


HOLD = """
import sys
from pathlib import Path
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.lock import locked
with locked(Path(sys.argv[1]), Disk()):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=pipe, stdout=pipe, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        monkeypatch.setattr(lock, "WAIT_S", 0.1)
        with (
            pytest.raises(BundleError, match="another process keeps it"),
            locked(path, DISK),
        ):
            pass
        other.kill()  # the kernel lets go of what a dead process held
        monkeypatch.setattr(lock, "WAIT_S", 20.0)
        with locked(path, DISK):
            pass


def test_a_folder_that_is_held_is_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    held = hold(folder)
    with pytest.raises(BundleError, match="another process installs"):
        hold(folder)
    remove_unless_held(folder, DISK)
    assert folder.is_dir()
    os.close(held)
    remove_unless_held(folder, DISK)
    (tmp_path / "file").touch()
    remove_unless_held(tmp_path / "file", DISK)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_link_can_be_written_into(tmp_path: Path) -> None:
    """Under systemd the state folder of a DynamicUser= service is one."""
    (tmp_path / "private").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "private")
    disk = Disk()
    disk.make_folders(tmp_path / "state" / "coverage")
    disk.write_whole(tmp_path / "state" / "file", b"content")
    assert (tmp_path / "private" / "file").read_bytes() == b"content"
    (tmp_path / "link").symlink_to(tmp_path / "private" / "file")
    with pytest.raises(OSError, match="symbolic links"):
        disk.sync_path(tmp_path / "link")
