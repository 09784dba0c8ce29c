"""One network a machine type: which are trained, from what, and what is said."""

import shutil
from pathlib import Path

import pytest
import torch

from asd_agent.errors import ConfigError, SoundError
from asd_train.budget import Budget
from asd_train.cli import main
from asd_train.fit import Plan
from asd_train.fleet import fit_all
from asd_train.recipe import load
from asd_train.run import Run, RunError
from asd_train.runs import runs_of

EACH = load("smoke").model_copy(update={"one_per": "machine"})
CPU = Plan(device="cpu")
RESUME = Plan(device="cpu", resume=True)


@pytest.fixture(scope="module")
def fleet(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet") / "runs"
    fit_all(EACH, sounds, folder, Budget(2), plan=CPU)
    return folder


def test_each_machine_type_has_its_run(fleet: Path) -> None:
    runs = runs_of(fleet)
    assert list(runs) == ["fan", "pump"]
    assert load(str(fleet / "recipe.yaml")) == EACH
    for machine, run in runs.items():
        assert run.path == fleet / machine
        assert run.complete
        assert run.info.steps == 2
        assert run.info.classes == (f"{machine}/00", f"{machine}/01")
        assert run.recipe.machines == (machine,)
        assert run.recipe.one_per == "joint"


def test_complete_runs_are_skipped_on_resume(
    fleet: Path, sounds: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(fleet, folder)
    shutil.rmtree(folder / "pump")
    before = (folder / "fan" / "run.json").stat().st_mtime_ns
    fit_all(EACH, sounds, folder, Budget(2), plan=RESUME)
    assert (folder / "fan" / "run.json").stat().st_mtime_ns == before
    one, other = (Run.open(f / "pump").network() for f in (fleet, folder))
    for name, values in one.named_parameters():
        assert torch.equal(other.get_parameter(name), values), name


def test_what_was_made_of_the_runs_is_no_machine_type(
    fleet: Path, sounds: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(fleet, folder)
    command = ["evaluate", str(folder), "--data", str(sounds), "--device", "cpu"]
    assert main([*command, "--alone"]) == 0
    assert (folder / "evaluation" / "evaluation.json").is_file()
    for name in ("bundle-2", "comparison", "tensorboard", ".notes"):
        (folder / name).mkdir()
    shutil.rmtree(folder / "pump")
    runs = fit_all(EACH, sounds, folder, Budget(2), plan=RESUME)
    assert list(runs) == list(runs_of(folder)) == ["fan", "pump"]


def test_minutes_are_divided(sounds: Path, tmp_path: Path) -> None:
    ticks = iter(range(1000))
    plan = Plan(device="cpu", clock=lambda: float(next(ticks)))
    budget = Budget(None, 0.1)  # six seconds, three each
    runs = fit_all(EACH, sounds, tmp_path / "runs", budget, plan=plan)
    assert {name: run.info.steps for name, run in runs.items()} == {"fan": 3, "pump": 3}


def test_each_begins_from_its_own_or_from_the_joint_one(
    fleet: Path, run: Run, sounds: Path, tmp_path: Path
) -> None:
    training = EACH.training.model_copy(update={"learning_rate": 1e-30})
    still = EACH.model_copy(update={"training": training})
    for origin, number in ((fleet, 1), (run.path, 2)):
        out = tmp_path / str(number)
        runs = fit_all(still, sounds, out, Budget(1), plan=CPU, init=origin)
        for machine, tuned in runs.items():
            source = run if origin == run.path else Run.open(fleet / machine)
            weight = next(tuned.network().parameters())
            assert torch.equal(weight, next(source.network().parameters()))
            assert tuned.info.features == source.info.features


def test_a_joint_network_cannot_begin_from_several(
    fleet: Path, sounds: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="has runs of fan, pump and none of all"):
        fit_all(load("smoke"), sounds, tmp_path / "a", Budget(1), plan=CPU, init=fleet)


def test_an_unfinished_run_is_nothing_to_begin_from(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(run.path, origin)
    (origin / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="has not come to its end"):
        fit_all(load("smoke"), sounds, tmp_path / "a", Budget(1), plan=CPU, init=origin)


def test_all_machine_types_are_looked_at_before_the_first_is_trained(
    sounds: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sounds, data)
    for path in (data / "pump" / "train").glob("section_01*"):
        path.unlink()
    with pytest.raises(SoundError, match="pump has 3 training clips of one class"):
        fit_all(EACH, data, tmp_path / "runs", Budget(1), plan=CPU)
    assert not (tmp_path / "runs").exists()


def test_a_machine_type_that_is_not_there(sounds: Path, tmp_path: Path) -> None:
    recipe = EACH.model_copy(update={"machines": ("fan", "valve")})
    with pytest.raises(SoundError, match="no training clips of valve"):
        fit_all(recipe, sounds, tmp_path / "runs", Budget(1), plan=CPU)


def test_a_folder_of_runs_is_kept_from_others(
    fleet: Path, sounds: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is not empty"):
        fit_all(EACH, sounds, fleet, Budget(2), plan=CPU)
    other = EACH.model_copy(update={"machines": ("fan",)})
    with pytest.raises(ConfigError, match="begun with another recipe"):
        fit_all(other, sounds, fleet, Budget(2), plan=RESUME)
    folder = tmp_path / "runs"
    shutil.copytree(fleet, folder)
    shutil.copytree(folder / "fan", folder / "valve")
    with pytest.raises(RunError, match="holds valve"):
        fit_all(EACH, sounds, folder, Budget(2), plan=RESUME)


def test_the_command_trains_each(
    sounds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "each.yaml"
    recipe.write_text("base: smoke\nname: each\nsummary: each\none_per: machine\n")
    out = tmp_path / "runs"
    flags = ["--data", str(sounds), "-o", str(out), "--device", "cpu"]
    assert main(["fit", str(recipe), *flags, "--steps", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"{out / 'fan'}: 1 steps" in printed
    assert f"{out / 'pump'}: 1 steps" in printed
    assert printed.splitlines()[-2:] == [
        f"next: asd-train evaluate {out} --data {sounds}",
        f"      asd-export build {out}/<machine> -o BUNDLE",
    ]
    assert main(["fit", str(recipe), *flags, "--resume"]) == 0
