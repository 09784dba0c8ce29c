"""Trains a network: data, statistics, model, optimiser, loop, in this order."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import AdamW
from tqdm import tqdm

from asd_agent.errors import ConfigError
from asd_train import checkpoint
from asd_train.augment import AugmentSpec
from asd_train.checkpoint import Learner
from asd_train.data.units import Batch
from asd_train.dataset import CALIBRATION_UNITS, Dataset
from asd_train.environment import keep_freed_memory, pick_device, revision
from asd_train.losses import build_head
from asd_train.models import build_network
from asd_train.recipe import Recipe, TrainingSpec, dump
from asd_train.run import Run, RunInfo, write_atomic, write_tensors

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Budget:
    """When training is over: after so many steps or minutes, whichever is first."""

    steps: int | None
    minutes: float | None

    def progress(self, learner: Learner) -> float:
        """Part of the budget that is spent, 0 to 1."""
        by_steps = learner.step / self.steps if self.steps else 0.0
        by_time = learner.elapsed_s / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))


@dataclass(frozen=True, slots=True)
class Watch:
    """What ends the loop."""

    budget: Budget
    clock: Callable[[], float]
    """Seconds that only rise"""
    stopped: Callable[[], bool]
    """Whether somebody asked to stop"""


def learning_rate(spec: TrainingSpec, progress: float) -> float:
    """Rise linearly, then fall along half a cosine to the final rate."""
    if progress < spec.warmup:
        # From step 0 on something is learnt: a rate of 0 would waste a batch.
        return spec.learning_rate * max(progress / spec.warmup, 0.01)
    fallen = (progress - spec.warmup) / (1 - spec.warmup)
    share = (
        spec.final_rate + (1 - spec.final_rate) * (1 + math.cos(math.pi * fallen)) / 2
    )
    return spec.learning_rate * share


def fit(
    recipe: Recipe,
    data: Path,
    folder: Path,
    budget: Budget,
    *,
    device: str = "auto",
    resume: bool = False,
    clock: Callable[[], float] = time.monotonic,
    stopped: Callable[[], bool] = lambda: False,
) -> Run:
    """Train, and leave a run that the exporter can read.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        Recordings, named as DCASE does.
    folder : Path
        The run; must be new or empty, or hold a checkpoint to resume from.
    budget : Budget
    device : str
        ``cpu``, ``cuda`` or ``auto``.
    resume : bool
        Go on from the checkpoint in `folder`.
    clock : function
        Seconds that only rise.
    stopped : function
        Asked after each step whether to stop there.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the checkpoint is of the last step.
    AsdError
        The data, the folder or the device cannot be used; the text says how to
        mend it.
    """
    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty. Give another folder after -o, or --resume to go "
            "on with the run in it"
        )
    target = pick_device(device)
    keep_freed_memory()
    dataset = Dataset.read(data, recipe)
    info = Run.open(folder).info if resume else describe(recipe, dataset)
    if info.classes != dataset.classes:
        raise ConfigError(
            f"{data} has other classes than {folder} was trained on: resume with the "
            "same recordings"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "recipe.yaml", dump(recipe).encode())
    write_info(folder, info)
    learner = start(recipe, info, target)
    if resume:
        checkpoint.restore(learner, folder)
    watch = Watch(budget, clock, stopped)
    metrics = learn(learner, recipe, info, dataset, folder=folder, watch=watch)
    checkpoint.save(learner, folder)
    if watch.budget.progress(learner) < 1:
        _LOG.info("--resume goes on from step %s in %s", learner.step, folder)
        raise KeyboardInterrupt
    finish(learner, info, dataset, metrics, folder)
    return Run.open(folder)


def describe(recipe: Recipe, dataset: Dataset) -> RunInfo:
    """What is known of a run before its first step."""
    seed = recipe.training.seed
    return RunInfo(
        classes=dataset.classes,
        network=recipe.network,
        features=dataset.normalised(recipe.features, seed),
        licence=recipe.licence,
        seed=seed,
        revision=revision(),
        data=dataset.description,
        steps=0,
        metrics={},
    )


def start(recipe: Recipe, info: RunInfo, device: torch.device) -> Learner:
    """Build network, head and optimiser with fresh weights."""
    torch.manual_seed(info.seed)
    network = build_network(info.network, info.features.unit_shape)
    head = build_head(recipe.loss, info.network.embedding, len(info.classes))
    # Channels last: twice as fast on a CPU, for these thin convolutions.
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack the keyword
    head.to(device)
    spec = recipe.training
    optimizer = AdamW(
        [*network.parameters(), *head.parameters()],
        lr=spec.learning_rate,
        weight_decay=spec.weight_decay,
    )
    return Learner(network, head, optimizer)


def learn(
    learner: Learner,
    recipe: Recipe,
    info: RunInfo,
    dataset: Dataset,
    *,
    folder: Path,
    watch: Watch,
) -> dict[str, float]:
    """Take steps until the budget is spent or a stop; returns the last metrics."""
    spec = recipe.training
    sampler = dataset.sampler(info.features, recipe.augment, info.seed)
    metrics: dict[str, float] = {}
    learner.network.train()
    last = watch.clock()
    with (
        (folder / "metrics.jsonl").open("a", encoding="utf-8") as log,
        tqdm(total=watch.budget.steps, initial=learner.step, unit="step") as bar,
    ):
        while (progress := watch.budget.progress(learner)) < 1:
            rate = learning_rate(spec, progress)
            batch = sampler.batch(learner.step, spec.batch)
            metrics = take_step(learner, batch, rate)
            now = watch.clock()
            learner.step, learner.elapsed_s = (
                learner.step + 1,
                learner.elapsed_s + now - last,
            )
            last = now
            bar.update()
            bar.set_postfix(metrics)
            row = {"step": learner.step, "rate": rate} | metrics
            log.write(json.dumps(row) + "\n")
            if learner.step % spec.checkpoint_steps == 0:
                log.flush()
                checkpoint.save(learner, folder)
            if watch.stopped():
                break
    return metrics


def take_step(learner: Learner, batch: Batch, rate: float) -> dict[str, float]:
    """Learn one batch; returns its mean loss and the part it got right."""
    device = next(learner.head.parameters()).device
    units = torch.from_numpy(batch.units).to(device)
    labels, others = (
        torch.from_numpy(x).to(device) for x in (batch.labels, batch.others)
    )
    shares = torch.from_numpy(batch.shares).to(device)
    scores: Tensor = learner.head(learner.network(units))
    first, second = (
        learner.head.loss(scores, wanted)  # type: ignore[operator]  # a head's own method
        for wanted in (labels, others)
    )
    loss = (shares * first + (1 - shares) * second).mean()
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    learner.optimizer.zero_grad()
    loss.backward()
    learner.optimizer.step()
    right = (scores.argmax(1) == labels).float().mean()
    return {"loss": round(loss.item(), 4), "accuracy": round(right.item(), 4)}


def finish(
    learner: Learner,
    info: RunInfo,
    dataset: Dataset,
    metrics: dict[str, float],
    folder: Path,
) -> None:
    """Write the weights and all that the exporter needs beside them."""
    write_tensors(folder / "model.safetensors", learner.network.state_dict())
    sampler = dataset.sampler(info.features, AugmentSpec(), info.seed + 1)
    batch = sampler.batch(0, CALIBRATION_UNITS)
    held = {
        key: torch.from_numpy(value)
        for key, value in dataset.heldout_units(info.features).items()
    }
    audio = torch.from_numpy(dataset.golden_audio(info.features))
    write_tensors(
        folder / "calibration.safetensors",
        {
            "units": torch.from_numpy(batch.units[:, 0]),
            "labels": torch.from_numpy(batch.labels),
        },
    )
    write_tensors(folder / "heldout.safetensors", held)
    write_tensors(folder / "golden.safetensors", {"audio": audio})
    metrics = metrics | heldout_accuracy(learner, held)
    write_info(
        folder, info.model_copy(update={"steps": learner.step, "metrics": metrics})
    )


def heldout_accuracy(learner: Learner, held: dict[str, Tensor]) -> dict[str, float]:
    """Part of the normal held-out units that are put into their class."""
    asked = (held["anomaly"] == 0) & (held["labels"] >= 0)
    if not asked.any():
        return {}
    device = next(learner.head.parameters()).device
    learner.network.eval()
    with torch.inference_mode():
        chunks = torch.split(held["units"][asked].unsqueeze(1), 32)
        scores = [learner.head(learner.network(c.to(device))).cpu() for c in chunks]
    right = torch.cat(scores).argmax(1) == held["labels"][asked]
    return {"heldout_accuracy": round(right.float().mean().item(), 4)}


def write_info(folder: Path, info: RunInfo) -> None:
    """Write ``run.json``."""
    text = info.model_dump_json(indent=1)
    write_atomic(folder / "run.json", text.encode() + b"\n")
