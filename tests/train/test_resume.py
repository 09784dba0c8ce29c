"""A run that is killed at any moment and resumed ends as if it had never been."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from asd_agent.errors import RuntimeMissing
from asd_train.budget import Budget
from asd_train.fit import Plan, fit
from asd_train.journal import Journal, last_metrics, rewind
from asd_train.recipe import dump, load

KILLS = 5
STEPS = 40
HELD = 6
"""Steps past the one waited for that a process may take before it is killed"""
PROGRAM = """
import sys, time
import torch
import asd_train.fit, asd_train.loop
from asd_train.cli import main

torch.set_num_threads(1)
last, real = int(sys.argv[1]), asd_train.loop.take_step

def step(learner, *given):
    while learner.step >= last:  # however late the signal comes, it comes in time
        time.sleep(60)
    return real(learner, *given)

asd_train.loop.take_step = step
raise SystemExit(main(sys.argv[2:]))
"""


def _command(recipe: Path, sounds: Path, out: Path, last: int) -> list[str]:
    flags = ["--data", str(sounds), "-o", str(out), "--device", "cpu", "--resume"]
    return [sys.executable, "-c", PROGRAM, str(last), "fit", str(recipe), *flags]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke recipe, with a checkpoint after every step."""
    values = load("smoke").model_dump(mode="json")
    values["training"] |= {"steps": STEPS, "checkpoint_steps": 1}
    path = tmp_path_factory.mktemp("recipe") / "often.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def _rows(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.timeout(300)
def test_killed_at_random_moments_it_ends_with_the_same_bits(
    recipe: Path, sounds: Path, tmp_path: Path
) -> None:
    whole = fit(
        load(str(recipe)), sounds, tmp_path / "whole", Budget(), plan=Plan("cpu")
    )
    out = tmp_path / "killed"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
    }
    rng, stood = random.Random(4), []
    for number in range(KILLS):
        steps = 1 + number * STEPS // (KILLS + 1)
        command = _command(recipe, sounds, out, steps + HELD)
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _wait_for_steps(process, out, steps)
                time.sleep(rng.uniform(0, 0.05))  # anywhere in a step or a checkpoint
            finally:
                process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        stood.append(json.loads((out / "checkpoint.json").read_text())["step"])
    assert stood == sorted(stood)
    assert 0 < stood[0] < stood[-1] < STEPS
    command = _command(recipe, sounds, out, STEPS)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("model", "checkpoint"):
        one, other = (
            load_file(path / f"{name}.safetensors") for path in (whole.path, out)
        )
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[key], other[key]) for key in one), name
    assert _rows(out) == _rows(whole.path)
    assert [row["step"] for row in _rows(out)] == list(range(1, STEPS + 1))


def _wait_for_steps(process: "subprocess.Popen[bytes]", out: Path, steps: int) -> None:
    path = out / "metrics.jsonl"
    while not path.is_file() or len(path.read_bytes().splitlines()) <= steps:
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.005)


@pytest.mark.parametrize(
    "leftover", [(), ("recipe.yaml",), ("recipe.yaml", "run.json")]
)
def test_killed_before_its_first_checkpoint_it_begins_again(
    leftover: tuple[str, ...], sounds: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for name in leftover:
        (out / name).write_text("{}")
    (out / "run.json.part").write_text("{")
    run = fit(load("smoke"), sounds, out, Budget(2), plan=Plan("cpu", resume=True))
    assert run.info.steps == 2
    assert [row["step"] for row in _rows(out)] == [1, 2]


def test_rows_past_the_checkpoint_are_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(1, 6)]
    path.write_text("".join(rows) + '{"step": 6, "lo')
    rewind(path, 3)
    assert path.read_text() == "".join(rows[:3])


def test_the_journal_fetches_several_rows_together(tmp_path: Path) -> None:
    with Journal(tmp_path, 0, None, every=3) as journal:
        for step in (1, 2, 3, 4):
            journal.note(step, 0.1, torch.tensor([step / 2, 0.25]))
        assert [row["step"] for row in _rows(tmp_path)] == [1, 2, 3]
        journal.settle()
    assert _rows(tmp_path)[-1] == {
        "step": 4,
        "rate": 0.1,
        "loss": 2.0,
        "accuracy": 0.25,
    }
    assert last_metrics(tmp_path) == {"loss": 2.0, "accuracy": 0.25}


def test_another_process_writes_nothing(tmp_path: Path) -> None:
    with Journal(None, 0, None) as journal:
        journal.note(1, 0.1, torch.ones(2))
        journal.settle()
    assert not any(tmp_path.iterdir())


def test_missing_tensorboard_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(RuntimeMissing, match="pip install tensorboard"):
        Journal(tmp_path, 0, None, tensorboard=True)


def test_tensorboard_gets_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int) -> None:
            told.append((Path(folder).name, purge_step))

        def add_scalar(self, *given: object) -> None:
            told.append(given)

        def close(self) -> None:
            told.append(("closed",))

    class Module:
        SummaryWriter = Writer

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", Module)
    with Journal(tmp_path, 7, None, tensorboard=True) as journal:
        journal.note(8, 0.1, torch.tensor([2.0, 0.5]))
    assert told == [
        ("tensorboard", 8),
        ("loss", 2.0, 8),
        ("accuracy", 0.5, 8),
        ("closed",),
    ]


def test_the_recipe_of_a_run_is_what_it_was_begun_with(recipe: Path) -> None:
    assert load(str(recipe)).training.checkpoint_steps == 1
    assert "checkpoint_steps: 1" in dump(load(str(recipe)))
