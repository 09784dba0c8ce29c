"""Every form of name that the challenge has used."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.errors import SoundError
from asd_train.data.dcase import parse, read_folder


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "fan/train/section_00_source_train_normal_0000_m-n_X.wav",
            ("fan", "00", "train", "source", "normal", "m-n_X"),
        ),
        (
            "fan/source_test/section_01_source_test_anomaly_0099.wav",
            ("fan", "01", "test", "source", "anomaly", ""),
        ),
        (
            "fan/target_test/section_03_target_test_0000.wav",
            ("fan", "03", "test", "target", "", ""),
        ),
        (
            "valve/test/section_02_target_test_normal_0003_pat_00.wav",
            ("valve", "02", "test", "target", "normal", "pat_00"),
        ),
        ("gearbox/test/section_03_0017.wav", ("gearbox", "03", "test", "", "", "")),
        (
            "bearing/test/section_00_target_normal_0053_weight25_BckgB.wav",
            ("bearing", "00", "test", "target", "normal", "weight25_BckgB"),
        ),
        (
            "ToyCarEmu/train/section_00_source_train_normal_0001_.wav",
            ("ToyCarEmu", "00", "train", "source", "normal", ""),
        ),
        (
            "pump/train/normal_id_01_00000003.wav",
            ("pump", "01", "train", "", "normal", ""),
        ),
        ("pump/test/id_05_00000003.wav", ("pump", "05", "test", "", "", "")),
        (
            "pump/test/section_00_source_test_normal_0000_x.flac",
            ("pump", "00", "test", "source", "normal", "x"),
        ),
    ],
)
def test_forms_of_name(path: str, expected: tuple[str, ...]) -> None:
    clip = parse(Path("data") / path)
    found = (
        clip.machine,
        clip.section,
        clip.split,
        clip.domain,
        clip.label,
        clip.attributes,
    )
    assert found == expected


@pytest.mark.parametrize(
    "name",
    ["noise.wav", "section_0_source_train_normal_0000.wav", "id_00_1.wav", "x.mp3"],
)
def test_other_names_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(SoundError, match="none of DCASE's") as caught:
        parse(Path("fan/train") / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_clip_of_no_split_is_refused() -> None:
    with pytest.raises(SoundError, match="train or test"):
        parse(Path("fan/raw/section_03_0017.wav"))


@given(
    section=st.integers(0, 99),
    domain=st.sampled_from(["source", "target"]),
    label=st.sampled_from(["normal", "anomaly"]),
    number=st.integers(0, 9999),
    attributes=st.from_regex(r"[A-Za-z0-9.\-]+(_[A-Za-z0-9.\-]+){0,5}", fullmatch=True),
)
def test_what_a_name_says_is_found_again(
    section: int, domain: str, label: str, number: int, attributes: str
) -> None:
    name = f"section_{section:02}_{domain}_test_{label}_{number:04}_{attributes}.wav"
    clip = parse(Path("fan/test") / name)
    assert clip.section == f"{section:02}"
    assert (clip.domain, clip.label, clip.attributes) == (domain, label, attributes)


def test_folder_is_searched_at_any_depth(tmp_path: Path) -> None:
    for path in (
        "dev_data/raw/fan/train/section_00_source_train_normal_0000.wav",
        "dev_data/raw/fan/test/section_00_source_test_normal_0000.wav",
        "dev_data/raw/pump/train/section_00_source_train_normal_0000.wav",
        "dev_data/raw/fan/attributes_00.csv",
        "dev_data/notes/readme.wav",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    clips = read_folder(tmp_path, "train")
    assert [clip.machine for clip in clips] == ["fan", "pump"]
    assert [c.machine for c in read_folder(tmp_path, "train", ["pump"])] == ["pump"]
    assert [c.label for c in read_folder(tmp_path, "test")] == ["normal"]


def test_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no such folder"):
        read_folder(tmp_path / "nowhere", "train")
