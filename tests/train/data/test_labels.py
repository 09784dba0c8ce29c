"""Recordings that a table describes."""

from pathlib import Path

import pytest

from asd_agent.errors import SoundError
from asd_train.data.dcase import Clip, read_clips, read_folder


def _table(root: Path, text: str) -> Path:
    (root / "labels.csv").write_text(text, encoding="utf-8")
    return root


def test_all_columns(tmp_path: Path) -> None:
    root = _table(
        tmp_path,
        "label,path,machine,section,split,domain,attributes,remark\n"
        "anomaly,b/2.wav,press,07,test,target,load_3,x\n"
        "normal,a/1.flac,press,07,train,source,,y\n",
    )
    first = Clip(root / "a/1.flac", "press", "07", "train", "source", "normal", "")
    last = Clip(root / "b/2.wav", "press", "07", "test", "target", "anomaly", "load_3")
    assert read_clips(root) == (first, last)
    assert read_folder(root, "test") == (last,)
    assert read_folder(root, "test", ["mill"]) == ()


def test_only_the_path_is_needed(tmp_path: Path) -> None:
    root = _table(tmp_path, "path\nfan/2.wav\nfan/1.wav\n1.wav\n")
    found = [(c.machine, c.section, c.split, c.label) for c in read_clips(root)]
    assert found == [
        (tmp_path.name, "00", "train", "normal"),
        ("fan", "00", "train", "normal"),
        ("fan", "00", "train", "normal"),
    ]


def test_empty_cells(tmp_path: Path) -> None:
    root = _table(tmp_path, "path,split,label\na,,anomaly\nb,test,\nc,,\n")
    found = [(c.split, c.label) for c in read_clips(root)]
    assert found == [("test", "anomaly"), ("test", ""), ("train", "normal")]


def test_the_table_stands_before_the_folders(tmp_path: Path) -> None:
    other = tmp_path / "fan/train/section_00_source_train_normal_0000.wav"
    other.parent.mkdir(parents=True)
    other.touch()
    root = _table(tmp_path, "path,machine\nx.wav,mill\n")
    assert [c.machine for c in read_clips(root)] == ["mill"]
    assert [c.machine for c in read_clips(root, layout="dcase")] == ["fan"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no column path, only none"),
        ("file,machine\na,b\n", "no column path, only file, machine"),
        ("path\n/etc/x.wav\n", "line 2: path '/etc/x.wav' must name a file below"),
        ("path\na/../../x.wav\n", "must name a file below"),
        ("path,label\na,\n,normal\n", "line 3: path '' must name a file below"),
        ("path\na\nb\na\n", "line 4: a is there twice"),
        ("path,label\na,broken\n", r"line 2: label 'broken' is none of normal, ano"),
        ("path,split\na,dev\n", "split 'dev' is none of train, test"),
        ("path,domain\na,x\n", r"domain 'x' is none of source, target, \(empty\)"),
        ("path,machine\na,b/c\n", "machine 'b/c' must be a word without /"),
        ("path,section\na,b/c\n", "section 'b/c' must be a word without /"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(SoundError, match=reason) as caught:
        read_clips(_table(tmp_path, text))
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(SoundError, match="not a readable table"):
        read_clips(tmp_path, layout="labels")
