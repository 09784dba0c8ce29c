"""The commands `report` and `compare`."""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asd_agent.errors import ConfigError
from asd_train.commands import compare, report
from asd_train.report.clips import EvaluationError

Make = Callable[..., Path]


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser("asd-train")
    commands = parser.add_subparsers(required=True)
    report.add(commands)
    compare.add(commands)
    arguments = parser.parse_args(list(map(str, words)))
    code: int = arguments.run(arguments)
    return code


def test_report_writes_beside_the_evaluation(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(sections=1)
    assert run("report", folder, "--no-maps") == 0
    path = folder / "evaluation" / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert str(path) in capsys.readouterr().out
    assert not list(folder.rglob("*.part"))


def test_report_takes_an_evaluation_that_lies_elsewhere(
    make: Make, sounds: Path, tmp_path: Path
) -> None:
    folder = make()
    away = (folder / "evaluation").rename(tmp_path / "away")
    page = tmp_path / "page.html"
    words: list[str | Path] = [
        "-o",
        page,
        "--run",
        folder,
        "--data",
        sounds,
        "--map",
        "fan/01",
    ]
    assert run("report", away, *words, "--clips", "2") == 0
    text = page.read_text(encoding="utf-8")
    assert "Training: loss" in text
    assert "Embeddings of fan, section 01" in text
    assert "Embeddings of valve" not in text
    assert text.count("Nearest normal clip</title>") == 2


def test_compare_writes_where_it_is_told(make: Make, tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    assert run("compare", make("a"), make("b", noise=1), "-o", page) == 0
    assert "best (a) and best (b)" in page.read_text(encoding="utf-8")


def test_without_an_evaluation_the_command_to_run_is_told(tmp_path: Path) -> None:
    for command in ("report", "compare"):
        with pytest.raises(EvaluationError, match=r"run asd-train evaluate .* first"):
            run(command, tmp_path)


def test_a_page_that_cannot_be_written_is_said(make: Make, tmp_path: Path) -> None:
    small = make(machines=("fan",), sections=1)
    with pytest.raises(ConfigError, match="cannot be written"):
        run("report", small, "--no-maps", "-o", tmp_path / "no" / "page.html")


@pytest.mark.parametrize("command", ["report", "compare"])
def test_help_is_at_once_there(command: str) -> None:
    code = (
        "import argparse, sys\n"
        f"from asd_train.commands import {command}\n"
        "parser = argparse.ArgumentParser('asd-train')\n"
        f"{command}.add(parser.add_subparsers())\n"
        "try:\n"
        f"    parser.parse_args(['{command}', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print({'numpy', 'matplotlib', 'jinja2', 'sklearn'} & set(sys.modules))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert found.stdout.splitlines()[-1] == "set()"
    assert "example:" in found.stdout
