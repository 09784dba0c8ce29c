"""Folders that are not the challenge's."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from asd_agent.errors import SoundError
from asd_train.data.dcase import Clip, read_clips, read_folder

Write = Callable[..., Path]


def _brief(root: Path, clips: tuple[Clip, ...]) -> list[tuple[str, ...]]:
    return [
        (str(c.path.relative_to(root)), c.machine, c.section, c.split, c.label)
        for c in clips
    ]


@pytest.mark.parametrize(
    ("above", "attributes"),
    [("", ""), ("6_dB_fan/", "snr_6dB"), ("-6_dB_fan/", "snr_-6dB"), ("x/", "")],
)
def test_mimii(tmp_path: Path, write: Write, above: str, attributes: str) -> None:
    for number in range(11):
        write(f"{above}fan/id_02/normal/{number:08}.wav", channels=8)
    write(f"{above}fan/id_02/abnormal/00000003.wav", channels=8)
    clips = read_clips(tmp_path, channel=7)
    assert {(c.machine, c.section, c.domain) for c in clips} == {("fan", "02", "")}
    assert {(c.attributes, c.channel) for c in clips} == {(attributes, 7)}
    held = [c.path.stem for c in clips if (c.split, c.label) == ("test", "normal")]
    assert held == ["00000004", "00000009"]
    counts = Counter((c.split, c.label) for c in clips)
    assert counts["train", "normal"] == 9
    assert counts["test", "anomaly"] == 1
    assert counts.total() == 12


def test_a_mimii_recording_is_on_one_side_at_every_noise_level(tmp_path: Path) -> None:
    numbers = {"6_dB_fan": range(10), "0_dB_fan": range(3, 10)}
    for snr, there in numbers.items():
        for number in there:
            path = tmp_path / snr / f"fan/id_00/normal/{number:08}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    train = {c.path.name for c in read_folder(tmp_path, "train")}
    test = {c.path.name for c in read_folder(tmp_path, "test")}
    assert test == {"00000004.wav", "00000009.wav"}
    assert not train & test


def test_toyadmos(tmp_path: Path, write: Write) -> None:
    for channel in (1, 2):
        for number in range(1, 6):
            end = f"ch{channel}_{number:04}.wav"
            write(f"ToyCar/case1/NormalSound_IND/1_ToyCar_case1_normal_IND_{end}")
            write(f"ToyCar/case1/EnvironmentalNoise_CNT/noise_{end}")
        end = f"ch{channel}_0001.wav"
        write(f"ToyCar/case1/NormalSound_CNT/1_ToyCar_case1_normal_CNT_{end}")
        write(f"ToyCar/case1/AnomalousSound_IND/1_ToyCar_case1_ab01_IND_{end}")
    first, second = read_clips(tmp_path), read_clips(tmp_path, channel=1)
    for clips, name in ((first, "_ch1_"), (second, "_ch2_")):
        assert all(name in c.path.name and c.channel == 0 for c in clips)
        assert {(c.machine, c.section) for c in clips} == {("ToyCar", "01")}
        counts = Counter((c.split, c.label, c.attributes) for c in clips)
        assert counts == {
            ("train", "normal", "mode_IND"): 4,
            ("test", "normal", "mode_IND"): 1,
            ("train", "normal", "mode_CNT"): 1,
            ("test", "anomaly", "mode_IND"): 1,
        }
    with pytest.raises(SoundError, match=r"no recording of channel 4 \(ch5\)"):
        read_clips(tmp_path, channel=4)


def test_a_folder_of_classes(tmp_path: Path, write: Write) -> None:
    write("press/b.wav")
    write("press/a.flac")
    write("mill/a.wav")
    write("mill/old/c.wav")
    assert _brief(tmp_path, read_folder(tmp_path, "train")) == [
        ("mill/a.wav", "mill", "00", "train", "normal"),
        ("press/a.flac", "press", "00", "train", "normal"),
        ("press/b.wav", "press", "00", "train", "normal"),
    ]
    assert read_folder(tmp_path, "test") == ()


def test_a_class_that_is_not_normal_is_refused(tmp_path: Path, write: Write) -> None:
    write("Abnormal/a.wav")
    write("normal/a.wav")
    with pytest.raises(SoundError, match=r"learnt as normal.*labels\.csv"):
        read_clips(tmp_path)


def test_names_of_the_challenge_in_a_wrong_folder(tmp_path: Path, write: Write) -> None:
    write("fan/section_00_source_train_normal_0000.wav")
    with pytest.raises(SoundError, match="its folder must be train or test"):
        read_clips(tmp_path)


def test_recordings_in_no_layout_are_said(tmp_path: Path, write: Write) -> None:
    write("a.wav")
    with pytest.raises(SoundError, match=r"1 recordings in no known layout"):
        read_clips(tmp_path)


def test_a_layout_can_be_named(tmp_path: Path, write: Write) -> None:
    write("train/a.wav")
    with pytest.raises(SoundError, match="none of DCASE's"):
        read_clips(tmp_path)
    assert [c.machine for c in read_clips(tmp_path, layout="classes")] == ["train"]
    assert read_clips(tmp_path, layout="mimii") == ()
