"""A tiny simulated data set and a run on it, made once for all tests."""

from pathlib import Path

import pytest
import torch

from asd_train.budget import Budget
from asd_train.data.simulator.files import Order, simulate
from asd_train.fit import Plan, fit
from asd_train.recipe import load
from asd_train.run import Run


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fans and two pumps, 3 clips to train on and 4 to test on each."""
    root = tmp_path_factory.mktemp("sounds")
    list(simulate(Order(("fan", "pump"), 2, 3, 4, seconds=0.6), root))
    return root


@pytest.fixture(scope="session")
def run(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the smoke recipe."""
    folder = tmp_path_factory.mktemp("runs") / "smoke"
    return fit(load("smoke"), sounds, folder, Budget(6), plan=Plan(device="cpu"))
