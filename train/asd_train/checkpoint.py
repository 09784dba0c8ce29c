"""Where a training run stands, on disk: it goes on as if never interrupted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import AdamW

from asd_train.budget import Budget
from asd_train.losses import Head
from asd_train.run import RunError, write_atomic, write_tensors

TENSORS, STATE = "checkpoint.safetensors", "checkpoint.json"


@dataclass(slots=True)
class Learner:
    """All that changes while a network learns.

    There is no random state: every batch follows from the seed and its number.
    """

    network: nn.Module
    head: Head
    optimizer: AdamW
    step: int = 0
    """Batches learnt"""
    elapsed_s: float = 0.0
    """Seconds learnt, over all sessions"""

    @property
    def device(self) -> torch.device:
        """Where it learns."""
        return next(self.network.parameters()).device

    def parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Every learnt tensor by name, in the optimiser's order."""
        return [
            (f"{part}.{name}", parameter)
            for part, module in (("network", self.network), ("head", self.head))
            for name, parameter in module.named_parameters()
        ]


def save(learner: Learner, budget: Budget, folder: Path) -> None:
    """Write the checkpoint; the old one is whole until the new one is."""
    tensors: dict[str, Tensor] = {}
    for part, module in (("network", learner.network), ("head", learner.head)):
        tensors |= {f"{part}.{k}": v for k, v in module.state_dict().items()}
    for name, parameter in learner.parameters():
        for key, value in learner.optimizer.state[parameter].items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors["step"] = torch.tensor(learner.step)
    write_tensors(folder / TENSORS, tensors)
    state = {
        "step": learner.step,
        "elapsed_s": round(learner.elapsed_s, 3),
        "budget": {"steps": budget.steps, "minutes": budget.minutes},
    }
    write_atomic(folder / STATE, json.dumps(state).encode() + b"\n")


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return (folder / TENSORS).is_file() and (folder / STATE).is_file()


def remembered(folder: Path) -> Budget:
    """Budget that the run was begun with; one that says nothing where none is kept."""
    if not exists(folder):
        return Budget()
    return Budget(**_state(folder).get("budget", {}))


def restore(learner: Learner, folder: Path) -> None:
    """Continue from the checkpoint of `save`.

    Raises
    ------
    RunError
        There is none, or it is of another network.
    """
    if not exists(folder):
        raise RunError(
            f"{folder} has no checkpoint to resume from: start it without --resume"
        )
    tensors = load_file(folder / TENSORS)
    try:
        for part, module in (("network", learner.network), ("head", learner.head)):
            prefix = part + "."
            own = {
                k.removeprefix(prefix): v
                for k, v in tensors.items()
                if k.startswith(prefix)
            }
            module.load_state_dict(own)
    except RuntimeError as error:
        raise RunError(f"{folder / TENSORS} is of another network: {error}") from error
    _restore_optimizer(learner, tensors)
    # The tensors' own step counts: a power cut may fall between the two files.
    learner.step = int(tensors["step"])
    learner.elapsed_s = float(_state(folder)["elapsed_s"])


def _state(folder: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads((folder / STATE).read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise RunError(
            f"{folder / STATE} is not JSON: {error}. Begin a new run, with --init "
            f"{folder} if that has come to its end"
        ) from error
    return state


def _restore_optimizer(learner: Learner, tensors: dict[str, Tensor]) -> None:
    saved = learner.optimizer.state_dict()
    saved["state"] = {
        index: {
            key: tensors[f"optimizer.{key}.{name}"]
            for key in ("step", "exp_avg", "exp_avg_sq")
        }
        for index, (name, _) in enumerate(learner.parameters())
        if f"optimizer.step.{name}" in tensors
    }
    learner.optimizer.load_state_dict(saved)
