"""What is read is what the kernel says, and nothing is raised where it is silent."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asd_agent import health
from asd_agent.health import system
from asd_agent.health.system import (
    System,
    children_rss_bytes,
    cpu_count,
    room,
    rss_bytes,
)
from support.loop_disk import LoopDisk

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_this_machine() -> None:
    found = System.read(Path("/proc/self").resolve().parent)
    assert found.rss_bytes is not None
    assert 1_000_000 < found.rss_bytes < 10**11
    assert found.children_rss_bytes is not None
    assert found.uptime_s is not None
    assert found.uptime_s > 0
    assert found.load_1min is not None
    assert found.load_1min >= 0
    assert found.cpu_count == cpu_count() == len(os.sched_getaffinity(0))
    assert found.clock_synced in (True, False)


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    found = System.read(tmp_path / "none", tmp_path)
    assert found == System(
        cpu_temperature_c=None,
        throttling=None,
        disk=None,
        rss_bytes=None,
        children_rss_bytes=None,
        clock_synced=found.clock_synced,
        uptime_s=None,
        load_1min=None,
        cpu_count=found.cpu_count,
    )


@pytest.mark.parametrize("content", ["", "garbage", "1\n", "\x00\xff" * 5000])
def test_nonsense_is_not_believed(tmp_path: Path, content: str) -> None:
    for name in ("uptime", "loadavg", "self/statm", "1/stat", "77/stat"):
        path = tmp_path / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    found = System.read(tmp_path, tmp_path)
    assert found.rss_bytes is found.children_rss_bytes is None
    assert found.uptime_s in (None, 1.0)


def process(root: Path, pid: int, parent: int, pages: int, name: str = "x") -> None:
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    rest = f"S {parent} " + "0 " * 19 + f"{pages} 0 0"
    (folder / "stat").write_text(f"{pid} ({name}) {rest}\n")


def test_the_memory_of_the_whole_family_counts(tmp_path: Path) -> None:
    process(tmp_path, 1, 0, 1000)
    process(tmp_path, 50, 1, 400)
    process(tmp_path, 51, 50, 7, name="a) S 1 (b")
    process(tmp_path, 52, 51, 20)
    process(tmp_path, 53, 50, 300)
    process(tmp_path, 60, 1, 5000)
    (tmp_path / "proc" / "70").mkdir()  # it has ended
    assert children_rss_bytes(tmp_path, 50) == 327 * PAGE
    assert children_rss_bytes(tmp_path, 53) == 0
    assert children_rss_bytes(tmp_path, 51) == 20 * PAGE


def test_processes_that_are_each_others_parent_end_the_search(tmp_path: Path) -> None:
    process(tmp_path, 5, 6, 1)
    process(tmp_path, 6, 5, 2)
    assert children_rss_bytes(tmp_path, 5) in (2 * PAGE, 3 * PAGE)


def test_the_memory_of_a_real_child_counts() -> None:
    before = children_rss_bytes()
    assert before is not None
    hold = "x = bytearray(50_000_000); print('ready', flush=True); input()"
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=pipe, stdout=pipe, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        during = children_rss_bytes()
        child.communicate("\n")
    assert during is not None
    assert 50_000_000 < during - before < 90_000_000
    after = children_rss_bytes()
    assert after is not None
    assert after < during - 40_000_000


def test_own_memory_grows_with_what_is_held() -> None:
    before = rss_bytes()
    held = np.ones(5_000_000)
    assert rss_bytes() - before > held.nbytes * 0.9


def test_a_disk(tmp_path: Path) -> None:
    found = room(tmp_path)
    assert found is not None
    assert 0 < found.free_bytes < found.total_bytes
    assert found.writable
    assert list(tmp_path.iterdir()) == []
    assert room(tmp_path / "none") is None


def test_a_folder_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    found = room(tmp_path)
    assert found is not None
    assert not found.writable


@pytest.mark.root
def test_a_disk_that_takes_no_writes(tmp_path: Path) -> None:
    with LoopDisk(tmp_path, 4_194_304, journal=False) as disk:
        root = disk.root
        found = room(root)
        assert found is not None
        assert found.writable
        assert 3_000_000 < found.total_bytes < 4_194_304
        (root / "file").write_bytes(bytes(1_000_000))
        fuller = room(root)
        assert fuller is not None
        assert 1_000_000 <= found.free_bytes - fuller.free_bytes < 1_100_000
        disk.remount("ro")
        found = room(root)
        assert found is not None
        assert not found.writable


def test_the_old_names_stay() -> None:
    assert health.rss_bytes is system.rss_bytes
    assert health.clock_synced is system.clock_synced
