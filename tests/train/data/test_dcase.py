"""Folders of DCASE Task 2, of all years."""

from collections.abc import Callable
from pathlib import Path

import pytest

from asd_agent.errors import SoundError
from asd_train.data.dcase import Clip, read_clips, read_folder

Write = Callable[..., Path]


def _touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_folder_is_searched_at_any_depth(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "dev_data/raw/fan/train/section_00_source_train_normal_0000.wav",
        "dev_data/raw/fan/test/section_00_source_test_normal_0000.wav",
        "dev_data/raw/pump/train/section_00_source_train_normal_0000.wav",
        "dev_data/raw/pump/train/._section_00_source_train_normal_0000.wav",
        "dev_data/notes/readme.wav",
    )
    clips = read_folder(tmp_path, "train")
    assert [clip.machine for clip in clips] == ["fan", "pump"]
    assert [c.machine for c in read_folder(tmp_path, "train", ["pump"])] == ["pump"]
    assert [c.label for c in read_folder(tmp_path, "test")] == ["normal"]


def test_splits_of_all_years(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "dev_data/fan/source_test/section_00_source_test_normal_0000.wav",
        "dev_data/fan/target_test/section_00_target_test_anomaly_0000.wav",
        "eval_data/raw/fan/test/section_03_0000.wav",
        "eval_data/raw/pump/test/id_05_00000000.wav",
    )
    clips = read_folder(tmp_path, "test")
    assert [(c.domain, c.label) for c in clips] == [
        ("source", "normal"),
        ("target", "anomaly"),
        ("", ""),
        ("", ""),
    ]
    assert clips == read_clips(tmp_path)
    assert [clip.path for clip in clips] == sorted(clip.path for clip in clips)


def test_labelled_copies_stand_for_the_hidden_ones(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "fan/test/section_00_0000.wav",
        "fan/test_rename/section_00_source_test_normal_0000_noAttribute.wav",
        "pump/test/section_00_0000.wav",
    )
    found = [(c.machine, c.label) for c in read_folder(tmp_path, "test")]
    assert found == [("fan", "normal"), ("pump", "")]


def test_what_is_copied_to_test_is_read_once(tmp_path: Path) -> None:
    name = "section_00_source_test_normal_0000.wav"
    other = "section_00_target_test_normal_0000.wav"
    _touch(tmp_path, f"fan/source_test/{name}", f"fan/test/{name}", f"fan/test/{other}")
    paths = [c.path.relative_to(tmp_path) for c in read_folder(tmp_path, "test")]
    assert paths == [Path("fan/source_test") / name, Path("fan/test") / other]


def test_the_machine_of_a_folder_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _touch(tmp_path, "fan/train/section_00_source_train_normal_0000.wav")
    monkeypatch.chdir(tmp_path / "fan")
    assert [c.machine for c in read_folder(Path(), "train")] == ["fan"]
    monkeypatch.chdir(tmp_path / "fan/train")
    assert [c.machine for c in read_folder(Path(".."), "train")] == ["fan"]


def test_channel_is_handed_on_to_the_reader(tmp_path: Path) -> None:
    _touch(tmp_path, "ToyCarEmu/train/section_00_source_train_normal_0001_.wav")
    (near,) = read_folder(tmp_path, "train")
    (far,) = read_folder(tmp_path, "train", channel=1)
    assert (near.channel, far.channel) == (0, 1)


def test_attributes_of_a_table_where_the_name_has_none(tmp_path: Path) -> None:
    _touch(
        tmp_path,
        "fan/train/section_00_source_train_normal_0000_.wav",
        "fan/train/section_00_source_train_normal_0001_m-n_X.wav",
        "fan/test/section_00_0000.flac",
        "fan/test/section_00_0001.wav",
        "fan/test/section_01_0000.wav",
    )
    (tmp_path / "fan/attributes_00.csv").write_text(
        "file_name,d1p,d1v,d2p,d2v\n"
        "fan/train/section_00_source_train_normal_0000_.wav,m-n,W,vel,3\n"
        "fan/train/section_00_source_train_normal_0001_m-n_X.wav,m-n,Q,,\n"
        "fan/test/section_00_0000.wav,m-n,Z,,\n"
    )
    found = {c.path.stem: c.attributes for c in read_clips(tmp_path)}
    assert found == {
        "section_00_source_train_normal_0000_": "m-n_W_vel_3",
        "section_00_source_train_normal_0001_m-n_X": "m-n_X",
        "section_00_0000": "m-n_Z",
        "section_00_0001": "",
        "section_01_0000": "",
    }


def test_a_clip_is_built_with_what_it_had_before() -> None:
    clip = Clip(Path("x"), "fan", "00", "train", "source", "normal", "a")
    assert (clip.year, clip.channel) == (0, 0)


def test_an_alien_name_in_a_folder_of_a_split_is_refused(tmp_path: Path) -> None:
    _touch(tmp_path, "fan/train/recording 1.wav")
    with pytest.raises(SoundError, match=r"recording 1\.wav: the name is none"):
        read_folder(tmp_path, "train")


def test_an_empty_folder_has_no_clips(tmp_path: Path) -> None:
    _touch(tmp_path, "readme.txt")
    assert read_clips(tmp_path) == ()


def test_what_is_asked_for_wrongly_is_said(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no such folder"):
        read_folder(tmp_path / "nowhere", "train")
    with pytest.raises(SoundError, match="split 'dev' must be train or test"):
        read_folder(tmp_path, "dev")
    with pytest.raises(SoundError, match="layout 'x' is none of auto, dcase, mimii"):
        read_clips(tmp_path, layout="x")
    with pytest.raises(SoundError, match="channel -1 must be 0 or more"):
        read_clips(tmp_path, channel=-1)
