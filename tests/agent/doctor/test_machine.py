"""The computer and its state folder, as a kernel in a folder describes them."""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from asd_agent.config import Config
from asd_agent.doctor import kernel, machine, storage
from asd_agent.doctor.finding import Finding, Grade
from asd_agent.doctor.storage import Space

GB = 1_000_000_000
PLENTY = Space(100 * GB, 50 * GB, 1_000_000, 900_000, read_only=False)


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def one(found: Iterable[Finding]) -> Finding:
    (finding,) = found
    return finding


def at(year: int) -> datetime:
    return datetime(year, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("year", "synced", "grade"),
    [
        (2027, True, Grade.OK),
        (2027, False, Grade.WARN),
        (1970, True, Grade.FAIL),
        (2024, False, Grade.FAIL),
        (2106, True, Grade.FAIL),
    ],
)
def test_the_clock(year: int, synced: bool, grade: Grade) -> None:
    found = one(machine.clock(at(year), synced))
    assert found.grade is grade
    assert found.text.startswith(f"{year}-05-06 07:08:09 UTC")
    assert bool(found.fix) is (grade is not Grade.OK)


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    assert one(machine.temperature(tmp_path)).text == "this machine does not say"
    assert list(machine.power(tmp_path)) == []
    assert one(machine.memory(tmp_path)).text == "this machine does not say"
    assert one(machine.computer(tmp_path, 64)).grade is Grade.OK
    assert kernel.mount_of(tmp_path, tmp_path) is None
    assert kernel.container(tmp_path) is None


@pytest.mark.parametrize(
    ("milli", "grade"), [(45_000, Grade.OK), (79_900, Grade.OK), (80_000, Grade.WARN)]
)
def test_the_temperature(tmp_path: Path, milli: int, grade: Grade) -> None:
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", f"{milli}\n")
    found = one(machine.temperature(tmp_path))
    assert found.grade is grade
    assert found.figures == {"temperature_c": milli / 1000}


THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


@pytest.mark.parametrize(
    ("bits", "grade", "text", "fix"),
    [
        ("0", Grade.OK, "enough; the processor is not slowed down", ""),
        ("1", Grade.WARN, "now the supply voltage is too low", "supply that belongs"),
        (
            "50005",
            Grade.WARN,
            "now the supply voltage is too low; now the CPU is slowed down",
            "supply that belongs",
        ),
        (
            "50000",
            Grade.WARN,
            "since the start at some time the supply voltage is too low; since the "
            "start at some time the CPU is slowed down",
            "supply that belongs",
        ),
        (
            "80008",
            Grade.WARN,
            "now the CPU is at its limit of temperature",
            "heat sink",
        ),
    ],
)
def test_the_power(
    tmp_path: Path, bits: str, grade: Grade, text: str, fix: str
) -> None:
    put(tmp_path, THROTTLED, f"{bits}\n")
    found = one(machine.power(tmp_path))
    assert (found.grade, found.text) == (grade, text)
    assert fix in found.fix


def test_the_voltage_of_a_newer_kernel(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    assert one(machine.power(tmp_path)).grade is Grade.WARN


@pytest.mark.parametrize(
    ("free_kb", "grade"), [(900_000, Grade.OK), (100_000, Grade.WARN)]
)
def test_the_memory(tmp_path: Path, free_kb: int, grade: Grade) -> None:
    text = f"MemTotal:  1000000 kB\nMemFree: 5 kB\nMemAvailable: {free_kb} kB\n"
    put(tmp_path, "proc/meminfo", text)
    found = one(machine.memory(tmp_path))
    assert found.grade is grade
    assert found.figures["available_bytes"] == free_kb * 1024


def test_the_computer(tmp_path: Path) -> None:
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    put(tmp_path, "run/.containerenv", "")
    good = one(machine.computer(tmp_path, 64))
    assert good.text.startswith("Raspberry Pi 4 Model B Rev 1.4, ")
    assert good.text.endswith(", in a container (podman)")
    bad = one(machine.computer(tmp_path, 32))
    assert (bad.grade, bad.exit_code) == (Grade.FAIL, 6)
    assert "64-bit system" in bad.fix


MOUNTS = """\
22 1 179:2 / / rw,noatime - ext4 /dev/root rw
23 22 0:5 / /dev rw - devtmpfs udev rw
24 22 179:1 / /boot/firm\\040ware rw - vfat /dev/mmcblk0p1 rw
25 22 0:30 / /srv ro shared:1 - nfs4 server:/srv rw
26 22 8:1 / /var/lib/asd rw shared:2 master:1 - ext4 /dev/sda1 rw
27 22 0:31 / /var/lib/asd rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/etc/asd", ("/", "ext4", "mmcblk0p2", "SD")),
        ("/boot/firm ware/x", ("/boot/firm ware", "vfat", "mmcblk0p1", "SD")),
        ("/srv", ("/srv", "nfs4", "", "")),
        ("/srvx", ("/", "ext4", "mmcblk0p2", "SD")),
        ("/var/lib/asd/sites", ("/var/lib/asd", "tmpfs", "", "")),
    ],
)
def test_the_file_system_of_a_path(
    tmp_path: Path, path: str, mount: tuple[str, ...]
) -> None:
    put(tmp_path, "proc/self/mountinfo", MOUNTS)
    put(tmp_path, "sys/block/mmcblk0/device/type", "SD\n")
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    link = "../../devices/platform/emmc2bus/mmcblk0/mmcblk0p2"
    (tmp_path / "sys/dev/block/179:2").symlink_to(link)
    found = kernel.mount_of(Path(path), tmp_path)
    assert found is not None
    assert (found.point, found.kind, found.device, found.card) == mount


@pytest.mark.parametrize(
    ("mounts", "grade", "text"),
    [
        ("1 0 179:2 / / rw - ext4 /dev/mmcblk0p2 rw", Grade.OK, ", an SD card"),
        ("1 0 8:2 / / rw - ext4 /dev/sda2 rw", Grade.OK, "ext4 on sda2, mounted on /"),
        ("1 0 0:2 / / rw - tmpfs tmpfs rw", Grade.WARN, "gone after a restart"),
        ("1 0 0:2 / / rw - overlay overlay rw", Grade.WARN, "gone after a restart"),
        ("1 0 8:3 / / rw - vfat /dev/sdb1 rw", Grade.WARN, "torn when power fails"),
    ],
)
def test_the_medium(tmp_path: Path, mounts: str, grade: Grade, text: str) -> None:
    put(tmp_path, "proc/self/mountinfo", mounts + "\n")
    found = examined(tmp_path / "state", root=tmp_path)["medium"]
    assert found.grade is grade
    assert text in found.text


def config(folder: Path) -> Config:
    values = {
        "device": "press-07",
        "state_dir": str(folder),
        "clips": {"max_bytes": "1GB"},
        "sources": [{"name": "pump", "recording": "/srv/a.wav"}],
    }
    return Config.model_validate(values)


def examined(
    folder: Path,
    space: Space = PLENTY,
    root: Path = Path("/none"),
    clock: Callable[[], float] = lambda: 0.0,
) -> dict[str, Finding]:
    found = storage.storage(config(folder), root=root, ask=lambda _: space, clock=clock)
    return {finding.subject: finding for finding in found}


def test_a_good_state_folder(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "a").write_bytes(bytes(5000))
    found = examined(tmp_path)
    assert [f.grade for f in found.values()] == [Grade.OK] * 2
    assert found["folder"].text == (
        f"{tmp_path}: can be written, a flushed write takes 0.0 ms"
    )
    assert found["room"].figures["used_bytes"] == 5000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sites"]


def test_a_state_folder_that_is_to_be_made(tmp_path: Path) -> None:
    found = examined(tmp_path / "deep" / "state")["folder"]
    assert found.grade is Grade.OK
    assert found.text.endswith("state: the agent will make it")
    assert list(tmp_path.iterdir()) == []


def test_a_state_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = examined(tmp_path / "file" / "state")["folder"]
    assert (found.grade, found.exit_code) == (Grade.FAIL, 5)


def test_a_state_folder_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(storage, "_write_and_flush", denied)
    found = examined(tmp_path)["folder"]
    assert found.text == f"{tmp_path}: cannot be written: Permission denied"
    assert "give that user the folder" in found.fix


def test_a_slow_disk(tmp_path: Path) -> None:
    times = iter((0.0, 2.5))
    found = examined(tmp_path, clock=lambda: next(times))["folder"]
    assert found.grade is Grade.WARN
    assert found.text.endswith("a flushed write takes 2,500 ms")


def test_a_disk_that_is_mounted_read_only(tmp_path: Path) -> None:
    found = examined(tmp_path, Space(GB, GB, 0, 0, read_only=True))
    assert (found["folder"].grade, found["folder"].exit_code) == (Grade.FAIL, 5)
    assert "remount,rw" in found["folder"].fix


@pytest.mark.parametrize(
    ("free", "grade"), [(50 * GB, Grade.OK), (GB, Grade.WARN), (9_000_000, Grade.FAIL)]
)
def test_the_room(tmp_path: Path, free: int, grade: Grade) -> None:
    found = examined(tmp_path, Space(100 * GB, free, 0, 0, read_only=False))
    assert found["room"].grade is grade
    assert "inodes" not in found
    # Clips, kept sound of one source, two bundles; no broker.
    wanted = GB + 268_435_456 + 2 * 134_217_728
    assert found["room"].figures["wanted_bytes"] == wanted


@pytest.mark.parametrize(("free", "grade"), [(500, Grade.WARN), (0, Grade.FAIL)])
def test_the_inodes(tmp_path: Path, free: int, grade: Grade) -> None:
    found = examined(tmp_path, Space(100 * GB, 50 * GB, 9000, free, read_only=False))
    assert found["inodes"].grade is grade
    assert f"{free} of 9,000 inodes are free" in found["inodes"].text


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB and 60 inodes of one's own."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=60", "tmpfs", folder)
    subprocess.run(command, check=True)
    yield folder
    subprocess.run(("umount", folder), check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_real_disk_that_is_full_and_read_only(mounted: Path) -> None:
    def real() -> dict[str, Finding]:
        return {f.subject: f for f in storage.storage(config(mounted))}

    found = real()
    assert found["folder"].grade is Grade.OK
    assert found["room"].grade is Grade.FAIL  # 4 MB are too few
    assert found["inodes"].grade is Grade.WARN
    assert found["medium"].text.startswith("tmpfs")
    with pytest.raises(OSError, match="No space left"):
        (mounted / "full").write_bytes(bytes(5_000_000))
    assert real()["folder"].text.endswith("cannot be written: No space left on device")
    (mounted / "full").unlink()
    subprocess.run(("mount", "-o", "remount,ro", mounted), check=True)
    assert real()["folder"].text.endswith("is mounted read-only")
