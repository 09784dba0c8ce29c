"""The command ``data``: list, get, check."""

import argparse
import io
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asd_agent.errors import ConfigError, SoundError
from asd_train.commands import data
from asd_train.data.dcase import read_clips

if TYPE_CHECKING:
    from train.data.conftest import Zenodo

Write = Callable[..., Path]


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser(prog="asd-train")
    data.add(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["data", *words])
    code: int = arguments.run(arguments)
    return code


def _archive(machine: str, sound: bytes, split: str, name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(f"{machine}/{split}/{name}", sound)
    return file.getvalue()


@pytest.fixture
def server(zenodo: "Zenodo", write: Write, monkeypatch: pytest.MonkeyPatch) -> "Zenodo":
    """Development and additional data of 2023, and the truth of 2020."""
    sound = write("sound.wav").read_bytes()
    train = "section_00_source_train_normal_0000_a_1.wav"
    zenodo.records[7882613] = {
        f"dev_{m}.zip": _archive(m, sound, "train", train)
        for m in ("fan", "ToyCar", "ToyTrain")
    }
    zenodo.records[7830345] = {
        "eval_data_grinder_train.zip": _archive("grinder", sound, "train", train)
    }
    zenodo.records[3951620] = {"eval_data_list.csv": b"fan\n"}
    monkeypatch.setenv("ASD_ZENODO_URL", zenodo.url + "/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return zenodo


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("list") == 0
    out = capsys.readouterr().out
    assert "2024  additional  https://zenodo.org/records/11259435" in out
    assert len(out.splitlines()) == 23
    assert _run("list", "2020") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == list(data._PARTS)
    with pytest.raises(ConfigError, match="2019 is not in the catalogue, which has 2"):
        _run("list", "2019")


def test_get(
    server: "Zenodo", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.licence = "cc-by-4.0"
    out = tmp_path / "out"
    words = ["get", "2023", "-o", str(out), "--parts", "dev,additional"]
    words += ["--machines", "Toy*,grinder", "--yes"]
    assert _run(*words) == 0
    shown = capsys.readouterr().out
    assert "dev of 2023, licence cc-by-4.0" in shown
    assert "dev_fan.zip" not in shown
    clips = read_clips(out)
    assert [(c.machine, c.path.parts[-5]) for c in clips] == [
        ("ToyCar", "dev_data"),
        ("ToyTrain", "dev_data"),
        ("grinder", "eval_data"),
    ]
    assert not list(out.rglob("*.zip"))
    server.asked.clear()
    assert _run(*words[:-1]) == 0
    assert server.asked == []
    assert "0.00 GB to load" in capsys.readouterr().out


def test_get_loads_anew_what_was_removed_or_has_changed(
    server: "Zenodo", tmp_path: Path
) -> None:
    words = ["get", "2023", "-o", str(tmp_path), "--machines", "fan", "--yes", "--keep"]
    _run(*words)
    archive = tmp_path / "downloads/dev/dev_fan.zip"
    assert archive.is_file()
    (recording,) = (tmp_path / "dev_data/raw/fan/train").iterdir()
    changed = _archive("fan", recording.read_bytes(), "test", "section_00_0000.wav")
    server.records[7882613]["dev_fan.zip"] = changed
    _run(*words)
    assert sorted(c.split for c in read_clips(tmp_path)) == ["test", "train"]
    shutil.rmtree(tmp_path / "dev_data/raw/fan")
    server.asked.clear()
    _run(*words)
    assert [c.split for c in read_clips(tmp_path)] == ["test"]
    assert server.asked == []


def test_the_truth_is_taken_whole(server: "Zenodo", tmp_path: Path) -> None:
    words = ["get", "2020", "-o", str(tmp_path), "--parts", "truth", "--yes"]
    _run(*words, "--machines", "fan")
    assert (tmp_path / "truth/eval_data_list.csv").read_bytes() == b"fan\n"
    server.asked.clear()
    _run(*words)
    assert server.asked == []


def test_nothing_is_loaded_unless_someone_agrees(
    server: "Zenodo",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["get", "2023", "-o", str(tmp_path / "out"), "--machines", "fan"]
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ConfigError, match=r"no terminal.*add --yes"):
        _run(*words)
    shown = capsys.readouterr().out
    assert "dev_fan.zip" in shown
    assert "licence CC BY 4.0" in shown
    for answer, code in (("\n", 1), ("", 1), ("n\n", 1), ("Yes\n", 0)):
        terminal = io.StringIO(answer)
        monkeypatch.setattr(terminal, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", terminal)
        assert _run(*words) == code
        assert bool(server.asked) == (code == 0)


def test_get_says_what_there_is_when_nothing_fits(
    server: "Zenodo", tmp_path: Path
) -> None:
    with pytest.raises(SoundError, match=r"nothing fits pump\. It has ToyCar, ToyT"):
        _run("get", "2023", "-o", str(tmp_path), "--machines", "pump", "--yes")
    with pytest.raises(ConfigError, match="'truth' of 2023 is not in the catalogue"):
        _run("get", "2023", "-o", str(tmp_path), "--parts", "truth", "--yes")
    assert server.asked == []


def test_check(
    tmp_path: Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write(f"fan/train/section_00_source_train_normal_{number:04}.wav")
    write("fan/test/section_00_0000.wav", rate_hz=8000)
    assert _run("check", str(tmp_path)) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["machine", "section", "split", "domain", "label", "clips"],
        ["fan", "00", "test", "-", "-", "1"],
        ["fan", "00", "train", "source", "normal", "3"],
        ["4", "recordings,", "0", "with", "problems"],
    ]
    assert _run("check", str(tmp_path), "--rate", "16000") == 0
    assert "4 recordings, 1 with problems" in capsys.readouterr().out
    with pytest.raises(SoundError, match="1 of 4 recordings cannot be used"):
        _run("check", str(tmp_path), "--rate", "16000", "--strict")
    with pytest.raises(SoundError, match="3 of 4 recordings cannot be used"):
        _run("check", str(tmp_path), "--seconds", "0.15", "--strict")
    with pytest.raises(SoundError, match=r"channel 1 was asked for"):
        _run("check", str(tmp_path), "--channel", "1", "--strict")


def test_check_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match="no recordings"):
        _run("check", str(tmp_path))
    with pytest.raises(SoundError, match="no such folder"):
        _run("check", str(tmp_path / "nowhere"))


@pytest.mark.parametrize("words", [[], ["list"], ["get"], ["check"]])
def test_help_has_an_example(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        _run(*words, "--help")
    assert done.value.code == 0
    assert " ".join(["asd-train data", *words]) in capsys.readouterr().out
