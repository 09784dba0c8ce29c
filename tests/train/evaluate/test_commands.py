"""The commands ``evaluate`` and ``ablate``, and runs of one network a machine."""

import argparse
import contextlib
import json
import shutil
from pathlib import Path

import pytest

from asd_agent.errors import AsdError, ConfigError
from asd_train.commands import ablate, evaluate
from asd_train.evaluate.switches import ROWS, chosen
from asd_train.evaluate.table import over_seeds, side_by_side
from asd_train.recipe import load, packaged
from asd_train.run import Run, RunError
from asd_train.runs import runs_of
from support.bundles import forge


def main(*words: object) -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for module in (evaluate, ablate):
        module.add(commands)
    arguments = parser.parse_args([str(word) for word in words])
    code: int = arguments.run(arguments)
    return code


@pytest.fixture
def copied(run: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run.path, tmp_path / "run"))


def test_runs_are_one_or_one_for_each_machine(copied: Path, tmp_path: Path) -> None:
    assert list(runs_of(copied)) == [""]
    many = tmp_path / "many"
    for machine in ("pump", "fan"):
        shutil.copytree(copied, many / machine)
    with pytest.raises(RunError, match="is not a run"):
        runs_of(many)
    shutil.copy(copied / "recipe.yaml", many)
    found = runs_of(many)
    assert list(found) == ["fan", "pump"]
    assert found["fan"].path == many / "fan"
    with pytest.raises(RunError, match="is not a run"):
        runs_of(tmp_path / "nothing")


def test_several_runs_and_runs_of_each_machine(
    copied: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    many = tmp_path / "many"
    shutil.copytree(copied, many / "fan")
    shutil.copy(copied / "recipe.yaml", many)
    assert main("evaluate", copied, many, "--data", sounds, "--device", "cpu") == 0
    printed = capsys.readouterr().out
    assert "official score of 2 runs" in printed or "less than two runs" in printed
    assert "statistics alone, no network" in printed
    joint = json.loads((copied / "evaluation" / "evaluation.json").read_text())
    own = json.loads((many / "evaluation" / "evaluation.json").read_text())
    assert [m["machine"] for m in joint["machines"]] == ["fan", "pump"]
    assert [m["machine"] for m in own["machines"]] == ["fan"]
    fans = [row for row in joint["sections"] if row["machine"] == "fan"]
    assert [r["auc"] for r in own["sections"]] == [r["auc"] for r in fans]


def test_members_scoring_and_weights_can_be_swapped(
    copied: Path, sounds: Path, tmp_path: Path
) -> None:
    scoring = tmp_path / "lof.yaml"
    scoring.write_text("members: [{name: network, source: {kind: lof, k: 2}}]\n")
    common = ("--data", sounds, "--machines", "fan", "--alone", "--device", "cpu")
    assert main("evaluate", copied, *common, "--members", "statistics") == 0
    assert main("evaluate", copied, *common, "--scoring", scoring) == 0
    assert main("evaluate", copied, *common, "--random-weights", 5) == 0
    names = sorted(path.name for path in copied.glob("evaluation*"))
    assert names == [
        "evaluation",
        "evaluation-lof",
        "evaluation-random5",
        "evaluation-statistics",
    ]
    found = {name: (copied / name / "scores.csv").read_text() for name in names[1:]}
    assert len(set(found.values())) == 3
    # One cache of the trained network, one of the random one.
    assert len(list((copied / "evaluation" / "cache").iterdir())) == 2
    random = json.loads((copied / names[2] / "evaluation.json").read_text())
    assert (random["seed"], random["name"]) == (5, "smoke, random weights")


def test_a_bundle_needs_a_place_and_can_hear_for_a_run(
    copied: Path, sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = forge(tmp_path / "bundle", embeds=True)
    with pytest.raises(ConfigError, match="say -o OUT"):
        main("evaluate", bundle, "--data", sounds)
    out = tmp_path / "out"
    common = ("--data", sounds, "--machines", "fan", "--device", "cpu")
    words = ("evaluate", bundle, *common, "-o", out, "--file", "onnx-float32")
    assert main(*words) == 0
    assert json.loads((out / "evaluation.json").read_text())["kind"] == "bundle"
    with pytest.raises(
        ConfigError, match="no int8 file for member-0, only onnx-float32"
    ):
        main("evaluate", bundle, *common, "-o", out, "--file", "int8")
    beside = ("--quantised", "--bundle", bundle, "--file", "float32")
    assert main("evaluate", copied, *common, *beside) == 0
    twin = copied / "evaluation" / "quantised" / "evaluation.json"
    assert json.loads(twin.read_text())["recipe"] == "smoke"
    assert "float" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--members", "nobody"], "no member 'nobody'"),
        (["--protocol", "1999"], "protocol 1999"),
        (["--protocol", "2021", "--machines", "boiler"], "no test clips of boiler"),
        (["--scoring", "/nowhere.yaml"], "cannot be read"),
        (["--quantised"], "bundle"),
    ],
)
def test_errors_are_told(
    copied: Path, sounds: Path, words: list[str], message: str
) -> None:
    with pytest.raises(AsdError, match=message):
        main("evaluate", copied, "--data", sounds, "--device", "cpu", *words)


def test_an_ablation_goes_on_where_it_stopped(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ablation"
    data: tuple[object, ...] = ("--data", sounds, "--machines", "fan")
    words = ("ablate", "smoke", *data, "-o", out, "--steps", 2, "--device", "cpu")
    assert main(*words, "--rows", "no_mixup,statistics") == 0
    table = json.loads((out / "ablation.json").read_text())
    assert [row["name"] for row in table["rows"]] == ["base", "no_mixup", "statistics"]
    assert [row["trained"] for row in table["rows"]] == [True, True, False]
    before = (out / "no_mixup" / "run" / "model.safetensors").stat().st_mtime_ns
    assert main(*words, "--rows", "no_mixup,knn,lof") == 0
    assert (out / "no_mixup" / "run" / "model.safetensors").stat().st_mtime_ns == before
    table = json.loads((out / "ablation.json").read_text())
    # The recipe has plain nearest neighbours: that row would be the base.
    assert [row["name"] for row in table["rows"]] == ["base", "no_mixup", "lof"]
    assert not (out / "lof" / "run").exists()
    lines = (out / "ablation.md").read_text().splitlines()
    assert len(lines) == 2 + 3
    assert capsys.readouterr().out.splitlines()[-2] == lines[-1]
    head = (out / "ablation.csv").read_text().splitlines()[0]
    assert head == "name,text,trained,official,auc,pauc,difference"
    with pytest.raises(ConfigError, match="another recipe"):
        main(*words, "--seed", 9, "--rows", "lof")


@pytest.mark.parametrize("name", packaged())
def test_most_rows_fit_every_recipe(name: str) -> None:
    recipe = load(name)
    made = 0
    for row in ROWS:
        with contextlib.suppress(ConfigError):
            changed = row.of(recipe)
            assert changed is None or changed != recipe
            made += changed is not None
    assert made > 4
    with pytest.raises(ConfigError, match="no row 'arc'"):
        chosen(("arc",))
    assert len(chosen(())) == len({row.name for row in ROWS}) == len(ROWS)


def test_what_is_printed_beside() -> None:
    one = {"overall": {"official": 0.7}}
    other = {"overall": {"official": 0.65}}
    unknown = {"overall": {"official": None}}
    assert side_by_side(one, other) == "float 70.00, quantised 65.00: +5.00 points lost"
    assert side_by_side(one, unknown) == "float 70.00, quantised -"
    assert over_seeds([one, other]).startswith("official score of 2 runs: 67.50 ± 3.54")
    assert "less than two" in over_seeds([one, unknown])


def test_the_help_names_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main("ablate", "--help")
    listed = capsys.readouterr().out.split("rows of training", 1)[1].split()
    assert {row.name for row in ROWS} <= set(listed)
