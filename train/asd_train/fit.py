"""Trains a network: data, statistics, model, optimiser, loop, in this order."""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch

from asd_agent.errors import ConfigError
from asd_train import checkpoint
from asd_train.acceleration import blocked_layout, make_optimizer, make_task, place
from asd_train.budget import Budget, Watch, settle
from asd_train.checkpoint import Learner
from asd_train.data.reading import AS_FOUND, Reading
from asd_train.dataset import Dataset
from asd_train.distributed import ALONE, World
from asd_train.environment import keep_freed_memory, pick_device, revision
from asd_train.journal import EVENTS, NAME, Journal, last_metrics
from asd_train.loader import lessons
from asd_train.loop import learn
from asd_train.losses import build_head
from asd_train.models import build_network
from asd_train.outcome import finish
from asd_train.recipe import Recipe, dump
from asd_train.run import Run, RunError, RunInfo, write_atomic, write_info
from asd_train.warmstart import WarmStart

_LOG = logging.getLogger(__name__)
_EARLY = {"recipe.yaml", "run.json", NAME, EVENTS}
"""What a run may hold before its first checkpoint"""
_ROWS_AT_ONCE = 20
"""Steps whose numbers are fetched from a GPU together"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is carried out; nothing of it decides what the network learns."""

    device: str = "auto"
    """``cpu``, ``cuda`` or ``auto``"""
    resume: bool = False
    """Go on from the checkpoint that is there, if one is"""
    clock: Callable[[], float] = time.monotonic
    """Seconds that only rise"""
    stopped: Callable[[], bool] = lambda: False
    """Asked after each step whether to stop there"""
    world: World = ALONE
    """This process among those that train together"""
    tensorboard: bool = False
    """Write events for TensorBoard, too"""


def fit(
    recipe: Recipe,
    data: Path,
    folder: Path,
    budget: Budget,
    *,
    plan: Plan | None = None,
    init: Run | None = None,
    reading: Reading = AS_FOUND,
) -> Run:
    """Train one network, and leave a run that the exporter can read.

    Parameters
    ----------
    recipe : Recipe
    data : Path
        Recordings.
    folder : Path
        The run; must be new or empty, unless the plan is to resume it.
    budget : Budget
        Says nothing: that of the run that is resumed, or the recipe's steps.
    plan : Plan, optional
    init : Run, optional
        Run of the same network to begin from, with its normalisation.
    reading : Reading, optional

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the checkpoint is of the last step.
    AsdError
        The data, the folder or the device cannot be used; the text says how to
        mend it.
    """
    plan = plan or Plan()
    begun = _standing(folder, plan.resume)
    budget = settle(budget, checkpoint.remembered(folder), recipe.training)
    if begun and Run.open(folder).complete:
        return Run.open(folder)
    plan.world.rows(recipe.training.batch)  # raises where it cannot be split
    device = pick_device(plan.device)
    keep_freed_memory()
    warm = WarmStart(init) if init else None
    dataset = Dataset.read(data, recipe, reading, quiet=not plan.world.main)
    info = Run.open(folder).info if begun else describe(recipe, dataset, warm)
    _check_same(folder, recipe, info, dataset, begun)
    learner = start(recipe, info, device)
    if begun:
        checkpoint.restore(learner, folder)
    elif warm:
        warm.load(learner, recipe, info.classes)
    plan.world.wait()  # until all have looked at the folder
    if plan.world.main and not begun:
        _begin(folder, recipe, info, learner, budget)
    watch = Watch(budget, plan.clock, plan.stopped)
    if not _train(
        learner, recipe, info, dataset, folder=folder, watch=watch, plan=plan
    ):
        if plan.world.main:
            _LOG.info("--resume goes on from step %s in %s", learner.step, folder)
        raise KeyboardInterrupt
    if plan.world.main:
        finish(learner, info, dataset, last_metrics(folder), folder)
    plan.world.wait()
    return Run.open(folder)


def _standing(folder: Path, resume: bool) -> bool:
    """Whether there is a run to go on with.

    A run that was killed before its first checkpoint begins again.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names and not resume:
        raise ConfigError(
            f"{folder} is not empty. Give another folder after -o, or --resume to go "
            "on with the run in it"
        )
    if checkpoint.exists(folder):
        return True
    strange = sorted({n.removesuffix(".part") for n in names} - _EARLY)
    strange = [n for n in strange if n not in (checkpoint.TENSORS, checkpoint.STATE)]
    if strange:
        raise RunError(
            f"{folder} has no checkpoint to resume from, but holds {strange[0]}: give "
            "another folder after -o"
        )
    return False


def _check_same(
    folder: Path, recipe: Recipe, info: RunInfo, dataset: Dataset, begun: bool
) -> None:
    if info.classes != dataset.classes:
        raise ConfigError(
            f"the recordings have other classes than {folder} was trained on: resume "
            "with the same recordings"
        )
    then, now = (data.get("channel", 0) for data in (info.data, dataset.description))
    if then != now:
        raise ConfigError(
            f"{folder} was begun with channel {then} of the recordings, not {now}: "
            f"resume it with --channel {then}"
        )
    if begun and Run.open(folder).recipe != recipe:
        raise ConfigError(
            f"{folder} was begun with another recipe, seed or machines: resume it "
            "without --seed and --machines"
        )


def _begin(
    folder: Path, recipe: Recipe, info: RunInfo, learner: Learner, budget: Budget
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "recipe.yaml", dump(recipe).encode())
    write_info(folder, info)
    checkpoint.save(learner, budget, folder)


def describe(
    recipe: Recipe, dataset: Dataset, warm: WarmStart | None = None
) -> RunInfo:
    """What is known of a run before its first step."""
    seed = recipe.training.seed
    features = (
        warm.features(recipe) if warm else dataset.normalised(recipe.features, seed)
    )
    return RunInfo(
        classes=dataset.classes,
        network=recipe.network,
        features=features,
        licence=recipe.licence,
        seed=seed,
        revision=revision(),
        data=dataset.description,
        steps=0,
        metrics={},
        init=warm.name if warm else "",
    )


def start(recipe: Recipe, info: RunInfo, device: torch.device) -> Learner:
    """Build network, head and optimiser with fresh weights."""
    torch.manual_seed(info.seed)
    network = build_network(info.network, info.features.unit_shape)
    head = build_head(recipe.loss, info.network.embedding, len(info.classes))
    place(network, device)
    head.to(device)
    optimizer = make_optimizer(network, head, recipe.training, device)
    return Learner(network, head, optimizer)


def _train(
    learner: Learner,
    recipe: Recipe,
    info: RunInfo,
    dataset: Dataset,
    *,
    folder: Path,
    watch: Watch,
    plan: Plan,
) -> bool:
    """Learn; returns whether the budget is spent."""
    spec, world, device = recipe.training, plan.world, learner.device
    own = folder if world.main else None
    every = _ROWS_AT_ONCE if device.type == "cuda" else 1
    loader = dataset.loader(
        info.features,
        recipe.augment,
        info.seed,
        size=spec.batch,
        rows=world.rows(spec.batch),
        device=device,
    )

    def save() -> None:
        if own:
            checkpoint.save(learner, watch.budget, own)

    learner.network.train()
    learner.head.train()
    with (
        blocked_layout(learner.network, device, spec.compile),
        closing(lessons(loader.lesson, learner.step)) as batches,
        Journal(own, learner.step, watch.budget.steps, every, plan.tensorboard) as log,
    ):
        task = make_task(learner.network, learner.head, spec, device, world)
        return learn(
            learner,
            task,
            batches,
            spec,
            watch=watch,
            journal=log,
            save=save,
            world=world,
        )
