"""Tables of attributes, whole and broken."""

from pathlib import Path

import pytest

from asd_agent.errors import SoundError
from asd_train.data.attributes import AttributeTables, read_table
from asd_train.data.names import parse

NAME = "section_00_source_train_normal_0000"


def _table(folder: Path, text: bytes) -> Path:
    path = folder / "fan/attributes_00.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def test_the_example_of_the_challenge(tmp_path: Path) -> None:
    line = f"fan/train/{NAME}_m-n_W.wav,m-n,W".encode()
    path = _table(tmp_path, b"\xef\xbb\xbffile_name,d1p,d1v\r\n" + line + b"\r\n")
    assert read_table(path) == {("train", f"{NAME}_m-n_W"): "m-n_W"}


def test_values_that_are_missing_are_left_out(tmp_path: Path) -> None:
    path = _table(
        tmp_path,
        b"file_name, d1p, d1v,d2p,d2v\n"
        b"fan/train/a.wav,noAttribute,\n"
        b"fan/train/b.wav\n"
        b"fan/train/c.wav,vel, 3 ,,,surplus\n",
    )
    assert list(read_table(path).values()) == ["noAttribute", "", "vel_3"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no column file_name, only none"),
        (b"name,d1p\nx,y\n", "no column file_name, only name, d1p"),
        (b"\xff\xfe\x00", "not a readable table"),
    ],
)
def test_a_broken_table_is_an_error_when_it_is_needed(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    path = _table(tmp_path, text)
    clip = parse(path.parent / "train" / f"{NAME}.wav")
    with pytest.raises(SoundError, match=reason) as caught:
        AttributeTables().find(clip)
    assert "attributes_00.csv" in str(caught.value)


def test_a_missing_table_is_none(tmp_path: Path) -> None:
    assert AttributeTables().find(parse(tmp_path / f"fan/train/{NAME}.wav")) == ""
