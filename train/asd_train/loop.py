"""The loop: a batch, a step, a row, now and then a checkpoint."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from asd_train.budget import Watch, learning_rate
from asd_train.checkpoint import Learner
from asd_train.distributed import World
from asd_train.journal import Journal
from asd_train.loader import Lesson
from asd_train.recipe import TrainingSpec


def learn(
    learner: Learner,
    task: nn.Module,
    lessons: Iterator[Lesson],
    spec: TrainingSpec,
    *,
    watch: Watch,
    journal: Journal,
    save: Callable[[], None],
    world: World,
) -> bool:
    """Take steps until the budget is spent or somebody asks to stop.

    Parameters
    ----------
    learner : Learner
        Changes with each step.
    task : Module
        `acceleration.Task` of the learner, perhaps compiled or distributed.
    lessons : iterator of Lesson
        From the batch on that comes next.
    spec : TrainingSpec
    watch : Watch
    journal : Journal
    save : function
        Writes a checkpoint.
    world : World

    Returns
    -------
    bool
        Whether the budget is spent; false: somebody asked to stop.
    """
    last = watch.clock()
    progress, stopped = _progress(learner, watch), False
    while progress < 1 and not stopped:
        rate = learning_rate(spec, progress)
        outcome = take_step(learner, task, next(lessons), rate)
        now = watch.clock()
        learner.step += 1
        learner.elapsed_s += now - last
        last = now
        outcome, stopped, progress = agree(
            world, outcome, watch.stopped(), _progress(learner, watch)
        )
        journal.note(learner.step, rate, outcome)
        if learner.step % spec.checkpoint_steps == 0:
            journal.settle()
            save()
    journal.settle()
    save()
    return progress >= 1


def take_step(learner: Learner, task: nn.Module, lesson: Lesson, rate: float) -> Tensor:
    """Learn one batch; returns its mean loss and the part it got right, ``(2,)``."""
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    learner.optimizer.zero_grad()
    loss, right = task(lesson.units, lesson.labels, lesson.others, lesson.shares)
    loss.backward()
    learner.optimizer.step()
    return torch.stack([loss.detach(), right])


def agree(
    world: World, outcome: Tensor, stopped: bool, progress: float
) -> tuple[Tensor, bool, float]:
    """Let all processes go on alike: one that stops, stops all."""
    if world.size == 1:
        return outcome, stopped, progress
    own = torch.tensor([float(stopped), progress], dtype=torch.float64)
    means = world.mean(torch.cat([outcome.double(), own.to(outcome.device)]))
    asked, spent = means[2:].tolist()
    # A mean of equal parts of 1 may be a bit less than 1.
    return means[:2], asked > 0, 1.0 if spent > 1 - 1e-9 else spent


def _progress(learner: Learner, watch: Watch) -> float:
    return watch.budget.progress(learner.step, learner.elapsed_s)
