"""Archives are unpacked below one folder, or not at all."""

import stat
import zipfile
from pathlib import Path

import pytest

from asd_agent.errors import SoundError
from asd_train.data.unpack import unpack


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return path


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("above", ["", "fan/", "dev_data/raw/fan/", "./fan/"])
def test_an_archive_lands_in_the_folder_of_its_machine(
    tmp_path: Path, above: str
) -> None:
    archive = _zip(
        tmp_path / "x.zip",
        {
            f"{above}train/a.wav": b"1",
            f"{above}attributes_00.csv": b"2",
            f"__MACOSX/{above}train/._a.wav": b"3",
        },
    )
    assert unpack(archive, tmp_path / "raw", "fan") == 2
    expected = {"fan/train/a.wav": b"1", "fan/attributes_00.csv": b"2"}
    assert _contents(tmp_path / "raw") == expected
    assert unpack(archive, tmp_path / "raw", "fan") == 2
    assert _contents(tmp_path / "raw") == expected


def test_an_archive_of_no_machine_stays_as_it_is(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "x.zip", {"truth/a.csv": b"1"})
    unpack(archive, tmp_path / "out")
    assert _contents(tmp_path / "out") == {"truth/a.csv": b"1"}


@pytest.mark.parametrize(
    "name", ["../evil", "fan/../../evil", "/evil", "a\\..\\evil", "c:evil", "a\x07b"]
)
def test_a_place_outside_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    archive = _zip(tmp_path / "x.zip", {"fan/good.wav": b"1", name: b"2"})
    with pytest.raises(SoundError, match="no plain file below the folder"):
        unpack(archive, tmp_path / "in/raw", "fan")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("fan/train")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(link, "/etc")
    with pytest.raises(SoundError, match="'fan/train', which is no plain file"):
        unpack(tmp_path / "x.zip", tmp_path / "raw", "fan")


def test_what_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "x.zip", {"fan/a.wav": bytes(10_000_000)})
    assert archive.stat().st_size < 20_000
    with pytest.raises(SoundError, match="100 times its size is refused"):
        unpack(archive, tmp_path / "raw", "fan")
    assert not (tmp_path / "raw").exists()


def test_a_member_that_holds_more_than_it_tells_is_refused(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "x.zip", {"fan/a.wav": b"x" * 5000})
    size = (5000).to_bytes(4, "little")
    data = archive.read_bytes()
    assert data.count(size) == 2
    archive.write_bytes(data.replace(size, (7).to_bytes(4, "little")))
    with pytest.raises(SoundError, match="not a readable zip file"):
        unpack(archive, tmp_path / "raw", "fan")
    assert not (tmp_path / "raw/fan/a.wav").exists()


@pytest.mark.parametrize("cut", [0, 10, 60, -30])
def test_a_broken_archive(tmp_path: Path, cut: int) -> None:
    archive = _zip(tmp_path / "x.zip", {"fan/a.wav": bytes(range(256)) * 9})
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(SoundError, match="not a readable zip file"):
        unpack(archive, tmp_path / "raw", "fan")


def test_a_bit_that_flipped_gives_no_file(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "x.zip", {"fan/a.wav": bytes(range(256)) * 9})
    data = bytearray(archive.read_bytes())
    data[60] ^= 1
    archive.write_bytes(data)
    with pytest.raises(SoundError, match="not a readable zip file"):
        unpack(archive, tmp_path / "raw", "fan")
    assert not (tmp_path / "raw/fan/a.wav").exists()
