"""The command line: its help runs, its errors are one line with their code."""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import asd_train.loop
from asd_train.cli import main
from asd_train.commands import recordings
from asd_train.data import layouts
from asd_train.run import Run


def test_the_example_in_the_help_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["fit", "--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out.replace("\\\n", " ").replace(" /tmp", f" {tmp_path}")
    commands = re.findall(r"^  asd-train (.+)$", text, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    assert "56 clips in" in printed
    assert "next: asd-train evaluate" in printed
    assert Run.open(tmp_path / "run").info.steps == 60


@pytest.mark.parametrize("command", [[], ["simulate"], ["fit"], ["recipes"]])
def test_every_command_has_help(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main([*command, "--help"])
    assert done.value.code == 0
    assert "asd-train" in capsys.readouterr().out


def test_recipes_are_listed_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert "secom_mfn" in names
    column = max(map(len, names)) + 2
    assert all(line[column - 2 : column] == "  " for line in lines)
    assert all(line[column] != " " for line in lines)
    assert main(["recipes", "smoke"]) == 0
    assert "name: smoke\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["recipes", "sekom"], 2, "no recipe 'sekom'"),
        (["fit", "smoke", "--data", "/nowhere", "-o", "run"], 3, "no such folder"),
        (["simulate", "out", "--machines", "boiler"], 2, "no machine type 'boiler'"),
        (["simulate", "full"], 2, "--overwrite"),
        (["fit", "smoke", "--data", ".", "-o", "none", "--resume"], 3, "0 training"),
    ],
)
def test_errors_are_one_line_and_a_code(
    command: list[str],
    code: int,
    message: str,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").touch()
    assert main(command) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--steps", "0"], ["--minutes", "-1"]])
def test_a_budget_must_be_above_zero(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["fit", "smoke", "--data", ".", "-o", "run", *flags])
    assert done.value.code == 2


def test_flags_override_the_recipe(sounds: Path, tmp_path: Path) -> None:
    flags = ["--steps", "2", "--seed", "5", "--machines", "pump", "--device", "cpu"]
    out = tmp_path / "run"
    assert main(["fit", "smoke", "--data", str(sounds), "-o", str(out), *flags]) == 0
    info = Run.open(out).info
    assert (info.steps, info.seed) == (2, 5)
    assert info.classes == ("pump/00", "pump/01")


def test_the_last_lines_say_what_comes_next(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    flags = ["--steps", "1", "--device", "cpu", "--layout", "dcase"]
    assert main(["fit", "smoke", "--data", str(sounds), "-o", str(out), *flags]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"next: asd-train evaluate {out} --data {sounds} --layout dcase",
        f"      asd-export build {out} -o BUNDLE",
    ]


@pytest.mark.parametrize("command", ["fit", "evaluate"])
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--channel", "1", "--strict"], "channel 0 alone, and channel 1 was asked"),
        (["--layout", "labels"], "labels.csv"),
    ],
)
def test_flags_say_how_recordings_are_read(
    command: str,
    flags: list[str],
    message: str,
    *,
    run: Run,
    sounds: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    what = "smoke" if command == "fit" else str(run.path)
    words = [command, what, "--data", str(sounds), "-o", str(tmp_path / "out")]
    assert main([*words, "--device", "cpu", *flags]) == 3
    assert message in capsys.readouterr().err


def test_the_layouts_to_choose_from_are_those_that_are_read() -> None:
    assert ("auto", *layouts.LAYOUTS) == recordings.LAYOUTS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_a_checkpoint_and_resume_ends_the_run(
    number: signal.Signals,
    *,
    sounds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    before = signal.getsignal(number)
    real, calls = asd_train.loop.take_step, iter(range(99))

    def step(*arguments: object) -> object:
        if next(calls) == 1:
            signal.raise_signal(number)
        return real(*arguments)  # type: ignore[arg-type]  # passed on as they come

    out = tmp_path / "run"
    command = ["fit", "smoke", "--data", str(sounds), "-o", str(out)]
    monkeypatch.setattr(asd_train.loop, "take_step", step)
    assert main(command) == 130
    assert f"--resume goes on from step 2 in {out}" in caplog.text
    assert signal.getsignal(number) == before
    assert json.loads((out / "checkpoint.json").read_text())["step"] == 2
    assert main([*command, "--resume"]) == 0
    assert Run.open(out).info.steps == 6


def test_missing_torch_names_the_package_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from asd_train.cli import main\n"
        "raise SystemExit(main(['recipes']))"
    )
    paths = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "pip install 'asd[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_line_loads_no_torch_before_a_command() -> None:
    code = "import sys, asd_train.cli; print('torch' in sys.modules)"
    paths = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=paths,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "False", done.stderr
