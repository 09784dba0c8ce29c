"""Two processes train one network; what one knows decides for both."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from asd_agent.errors import ConfigError
from asd_train.distributed import ALONE, World, joined
from asd_train.recipe import load

PROGRAM = """
import json, os, signal, sys
from pathlib import Path
import torch
import asd_train.fit, asd_train.loop
from asd_train.cli import main

torch.set_num_threads(1)
out, stop_at = Path(sys.argv[1]), int(sys.argv[2])
rank = os.environ["RANK"]
learner, calls = [], []
real = asd_train.loop.take_step

def step(own, *given):
    calls.append(1)
    learner[:] = [own]
    if rank == "1" and len(calls) == stop_at:
        signal.raise_signal(signal.SIGTERM)
    return real(own, *given)

asd_train.loop.take_step = step
code = main(sys.argv[3:])
sums = {
    name: tensor.double().sum().item() for name, tensor in learner[0].parameters()
}
out.mkdir(exist_ok=True)
(out / f"{rank}.json").write_text(json.dumps({"code": code, "sums": sums}))
"""


def _port() -> str:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _train(
    tmp_path: Path, command: list[str], stop_at: int = 0
) -> list[dict[str, Any]]:
    """Run both processes to their end; returns what each says of itself."""
    common = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": _port(),
        "WORLD_SIZE": "2",
    }
    told = tmp_path / "told"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(told), str(stop_at), *command],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=240)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], "\n".join(said)
    assert not re.search("step|clip|left out|Traceback", said[1]), said[1]
    assert "1 of 29 recordings are left out" in said[0]
    assert ("asd-export build" in said[0]) == (stop_at == 0)
    return [json.loads((told / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.timeout(300)
def test_two_processes_learn_one_network(sounds: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(sounds, data)
    (data / "fan/train/section_00_source_train_normal_9999.wav").write_text("words")
    recipe = tmp_path / "plain.yaml"
    values = load("smoke").model_dump(mode="json")
    values["training"] |= {"steps": 25, "batch": 16, "learning_rate": 3e-3}
    recipe.write_text(yaml.safe_dump(values | {"augment": {}}))
    command = ["fit", str(recipe), "--data", str(data), "-o", str(out)]
    command += ["--device", "cpu"]
    first, second = _train(tmp_path, command, stop_at=4)
    # The signal reached the second alone; both stopped after the same step.
    assert first["code"] == second["code"] == 130
    assert first["sums"] == second["sums"]
    assert json.loads((out / "checkpoint.json").read_text())["step"] == 4
    first, second = _train(tmp_path, [*command, "--resume"])
    assert first["code"] == second["code"] == 0
    assert first["sums"] == second["sums"]
    rows = [json.loads(x) for x in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 26))
    losses = [row["loss"] for row in rows]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])
    weights = load_file(out / "model.safetensors")
    assert all(np.isfinite(values).all() for values in weights.values())


def test_alone_nothing_is_joined() -> None:
    with joined("cpu", {}) as world:
        assert world == ALONE
        assert world.main
        assert not torch.distributed.is_initialized()
    values = torch.tensor([1.0, 2.0])
    assert ALONE.mean(values) is values


def test_the_batch_is_split_into_equal_parts() -> None:
    parts = [World(rank, 4).rows(64) for rank in range(4)]
    assert [list(range(64))[part] for part in parts] == [
        list(range(i, i + 16)) for i in (0, 16, 32, 48)
    ]
    for size, batch in ((3, 64), (8, 8)):
        with pytest.raises(ConfigError, match=f"training.batch {batch} does not split"):
            World(0, size).rows(batch)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK 2 does not lie below WORLD_SIZE 2"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "must be numbers"),
    ],
)
def test_variables_that_cannot_be(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        World.of(environment)


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    environment = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    with (
        pytest.raises(ConfigError, match="process 1 finds 1 GPUs"),
        joined("auto", environment),
    ):
        raise AssertionError("joined")
