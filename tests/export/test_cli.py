"""The command line, from a run's folder to a bundle."""

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from pathlib import Path

import pytest
import torch

from asd_agent import errors
from asd_agent.bundle.bundle import Bundle
from asd_agent.features import SecomSpec
from asd_agent.inference.embedder import RuntimeName
from asd_export import cli, source
from asd_export.build import Built, build, write
from asd_export.commands.build import tuning_of
from asd_export.order import Order, Tuning
from asd_train.models import build_network
from asd_train.recipe import dump, load
from asd_train.run import RunInfo, write_atomic, write_tensors
from support.tiny_models import settle, tiny_source

ROOT = Path(__file__).parents[2]
SPEC = SecomSpec(window=128, hop=64)
"""Front end of the recipe `smoke`: the smallest that the real networks take"""


def write_run(folder: Path) -> Path:
    """Leave what ``asd-train fit`` leaves, with fresh weights."""
    folder.mkdir()
    recipe = load("smoke")
    torch.manual_seed(0)
    network = settle(build_network(recipe.network, SPEC.unit_shape), SPEC.unit_shape)
    info = RunInfo(
        classes=("fan/00", "fan/01"),
        network=recipe.network,
        features=SPEC,
        licence="CC-BY-4.0",
        seed=1,
        revision="unknown",
        data={"clips": 10},
        steps=6,
        metrics={"loss": 1.5},
    )
    write_atomic(folder / "recipe.yaml", dump(recipe).encode())
    write_atomic(folder / "run.json", info.model_dump_json().encode())
    write_tensors(folder / "model.safetensors", dict(network.state_dict()))
    units = 0.1 * torch.randn(60, *SPEC.unit_shape)
    # A tone that rises from unit to unit, so that windows differ clearly; what the
    # ranges are set by has another.
    tones = torch.zeros(2, *SPEC.unit_shape)
    tones[0, 20:28], tones[1, 44:52] = 1, 1
    held = {
        "units": units[:40] + torch.linspace(0, 60, 40)[:, None, None] * tones[0],
        "labels": torch.zeros(40, dtype=torch.int64),
        "anomaly": torch.zeros(40, dtype=torch.int64),
        "clip": torch.arange(10).repeat_interleave(4),
    }
    calibration = {
        "units": units[40:] + torch.linspace(0, 60, 20)[:, None, None] * tones[1],
        "labels": held["labels"][:20],
    }
    write_tensors(folder / "heldout.safetensors", held)
    write_tensors(folder / "calibration.safetensors", calibration)
    sounds = (3000 * torch.randn(4, SPEC.unit_samples)).to(torch.int16)
    write_tensors(folder / "golden.safetensors", {"audio": sounds})
    return folder


def tiny_order() -> Order:
    created = datetime(2026, 1, 2, tzinfo=timezone.utc)
    return Order("tiny", 1, created, ("onnx-float32",))


@cache
def tiny_bundle() -> Built:
    return build(tiny_source(), tiny_order(), lambda _: None)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'export'}:{ROOT / 'train'}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_from_run_to_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, target = write_run(tmp_path / "My run"), tmp_path / "bundle"
    command = ["build", str(run), "-o", str(target), "--version", "7"]
    assert cli.main([*command, "--files", "onnx-float32,onnx-int8"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("file")
    tried = [(line.split()[0], line[44:60].strip()) for line in lines[1:-2]]
    assert tried == [
        ("model.float32.onnx", "-"),
        ("model.int8.onnx", "minmax"),
        ("model.int8.onnx", "percentile 99.99"),
        ("model.int8.onnx", "percentile 99.9"),
        ("model.int8.onnx", "entropy"),
    ]
    manifest = Bundle.open(target).manifest
    taken = manifest.parity["model.int8.onnx"].method
    assert lines[-2:] == [
        f"taken: model.int8.onnx {taken}",
        "taken: model.float32.onnx",
    ]
    assert taken in [way for _, way in tried]
    assert "quantising onnx with 20 units" in err
    assert err.endswith(f"wrote {target}\n")
    assert (manifest.id, manifest.version) == ("my-run", 7)
    assert manifest.licence == "CC-BY-4.0"
    assert manifest.labels == ("fan/00", "fan/01")
    assert manifest.training["data.clips"] == 10
    assert manifest.training["metric.loss"] == 1.5
    assert manifest.members[0].name == "mobilefacenet"


def test_a_folder_of_runs_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for machine in ("fan", "ToyCar"):
        (tmp_path / "runs" / machine).mkdir(parents=True)
        (tmp_path / "runs" / machine / "run.json").write_text("{}")
    for command in (
        ["build", str(tmp_path / "runs"), "-o", str(tmp_path / "b")],
        ["analyse", str(tmp_path / "runs")],
    ):
        assert cli.main(command) == 7
        error = capsys.readouterr().err
        assert "runs holds runs of ToyCar, fan: build one of them" in error


def test_analyse_prints_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, plot = write_run(tmp_path / "run"), tmp_path / "layers.svg"
    command = ["analyse", str(run), "--runtime", "tflite", "-o", str(plot)]
    assert cli.main(command) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["layer", "kind", "noise", "SQNR", "cosine", "rank"]
    names = {line.split()[0] for line in lines[1:]}
    assert {"unit", "stages.0.0", "stages.2.1.sum", "stages.9.0"} <= names
    assert len(names) == len(lines) - 1
    assert b"run, int8 as tflite, minmax" in plot.read_bytes()
    assert err.endswith(f"wrote {plot}\n")


@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_the_runtime_is_recorded_and_comes_first(runtime: RuntimeName) -> None:
    order = replace(
        tiny_order(), files=("tflite-float32", "onnx-float32"), runtime=runtime
    )
    manifest = build(tiny_source(), order, lambda _: None).manifest
    assert manifest.runtime == runtime
    (member,) = manifest.members
    assert member.embedder is not None
    assert member.embedder.models[0].runtime == runtime


def test_a_runtime_without_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "run", "-o", str(tmp_path / "b"), "--files", "onnx-int8"]
    assert cli.main([*command, "--runtime", "tflite"]) == 2
    assert "add one to --files" in capsys.readouterr().err


def test_always_needs_to_know_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "run", "-o", str(tmp_path / "b"), "--qat-always"]
    assert cli.main(command) == 2
    assert "give --qat, too" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], None),
        (["--qat"], Tuning()),
        (["--qat", "70"], Tuning(70)),
        (["--qat", "--qat-always"], Tuning(always=True)),
    ],
)
def test_fine_tuning_as_asked(words: list[str], expected: Tuning | None) -> None:
    parsed = cli._parser().parse_args(["build", "run", "-o", "out", *words])
    assert tuning_of(parsed) == expected


def test_licence_of_the_command_line_wins(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert source.from_run(run).licence == "CC-BY-4.0"
    assert source.from_run(run, "MIT").licence == "MIT"


def test_what_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["build", str(tmp_path), "-o", str(tmp_path / "b"), "--id", "x"])
    assert code == 7
    assert "is not a run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_target_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["build", str(tmp_path / "no-run"), "-o", str(tmp_path)])
    assert code == errors.ConfigError.exit_code
    assert "never overwritten" in capsys.readouterr().err


def test_missing_torch_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # importing it now fails
        "from asd_export.cli import main\n"
        f"sys.exit(main(['build', {str(tmp_path)!r}, '-o', 'out', '--id', 'x']))"
    )
    done = run_python(code)
    assert done.returncode == errors.RuntimeMissing.exit_code
    assert "pip install 'asd[export]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupt_says_that_nothing_was_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(source, "from_run", stop)
    assert cli.main(["build", str(tmp_path), "-o", str(tmp_path / "b")]) == 130
    assert "interrupted, nothing was written" in capsys.readouterr().err


def test_inspect_tells_what_a_bundle_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tiny_bundle(), tmp_path / "b")
    assert cli.main(["inspect", str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    for words in (
        "tiny, version 1, for any",
        "created   2026-01-02T00:00:00+00:00",
        "labels    2: fan, valve",
        "training  steps: 20",
        "unit 32 x 8 (11 ms) every 4 ms",
        "preferred: model.float32.onnx",
        "mean of 18 units, knn with k = 1",
        "cosine at least 0.995",
        tiny_bundle().manifest.files["golden.safetensors"].sha256[:16],
    ):
        assert words in out


def test_inspect_shows_a_few_of_many_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tuple(f"fan/{i:02}" for i in range(300))
    manifest = tiny_bundle().manifest.model_copy(update={"labels": labels})
    write(replace(tiny_bundle(), manifest=manifest), tmp_path / "b")
    cli.main(["inspect", str(tmp_path / "b")])
    out = capsys.readouterr().out
    assert "labels    300: fan/00, fan/01," in out
    assert "fan/05, ..." in out
    assert "fan/06" not in out


def test_inspect_finds_damage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tiny_bundle(), tmp_path / "b")
    path = tmp_path / "b" / "model.float32.onnx"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    assert cli.main(["inspect", str(tmp_path / "b")]) == errors.BundleError.exit_code
    assert "model.float32.onnx: its SHA-256 is" in capsys.readouterr().err


def test_inspect_needs_no_torch() -> None:
    code = (
        "import sys, asd_export.cli\n"
        "bad = {'torch', 'onnx', 'litert_torch'} & set(sys.modules)\n"
        "sys.exit(f'imported {bad}' if bad else 0)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--files", "onnx-int4"], "'onnx-int4' is none of onnx-int8, tflite-int8"),
        (["--files", ""], "'' is none of"),
        (["--calibration", "kl"], "invalid choice: 'kl'"),
        (["--qat", "0"], "'0' is not a whole number above 0"),
        (["--device-class", "Pi 4"], "'Pi 4': lower-case letters"),
        (["--id", "Bad Id"], "'Bad Id': lower-case letters"),
        (["--id", "../up"], "'../up': lower-case letters"),
        (["--version", "0"], "'0' is not a whole number above 0"),
        (["--version", "1.5"], "'1.5' is not a whole number"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["build", "run", "-o", "out", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_folder_that_makes_no_id_asks_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["build", str(tmp_path / "___"), "-o", "out"]) == 2
    assert "give --id" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["build", "analyse", "inspect"])
def test_help_ends_with_a_command_that_parses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    example = capsys.readouterr().out.split("example:")[1].split()
    assert example[:2] == ["asd-export", command]
    parsed = cli._parser().parse_args(example[1:])
    assert parsed.command == command
