"""The command ``simulate``: what its options order."""

import argparse
from pathlib import Path

import pytest

from asd_agent.errors import ConfigError
from asd_train.commands import simulate
from asd_train.data.dcase import read_folder


def _run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    simulate.add(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["simulate", *words])
    code: int = arguments.run(arguments)
    return code


SMALL = ("--clips-train", "2", "--clips-test", "4", "--seconds", "0.1", "--jobs", "1")


def test_layout_2021_has_all_seven_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sim"
    assert _run(str(out), "--layout", "2021", "--sections", "1", *SMALL) == 0
    assert "63 clips" in capsys.readouterr().out
    machines = {clip.machine for clip in read_folder(out, "train")}
    assert machines == {
        "ToyCar",
        "ToyTrain",
        "fan",
        "gearbox",
        "pump",
        "slider",
        "valve",
    }
    assert (out / "fan" / "source_test").is_dir()


def test_default_layout_has_the_five_machines_of_before(tmp_path: Path) -> None:
    assert _run(str(tmp_path / "sim"), "--sections", "1", *SMALL) == 0
    folders = {p.name for p in (tmp_path / "sim").iterdir()}
    assert folders == {"fan", "gearbox", "pump", "slider", "valve"}
    assert (tmp_path / "sim" / "fan" / "test").is_dir()


def test_machines_are_those_named(tmp_path: Path) -> None:
    words = ("--layout", "2021", "--machines", "ToyTrain", "--sections", "1", *SMALL)
    assert _run(str(tmp_path / "sim"), *words) == 0
    assert [p.name for p in (tmp_path / "sim").iterdir()] == ["ToyTrain"]


def test_a_count_that_layout_2021_cannot_share_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "sim"
    with pytest.raises(ConfigError, match="multiple of 4"):
        _run(str(out), "--layout", "2021", "--clips-test", "6")
    assert not out.exists()
