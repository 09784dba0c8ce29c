"""How long training lasts, and how fast the network learns on the way."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from asd_agent.errors import ConfigError
from asd_train.recipe import TrainingSpec


@dataclass(frozen=True, slots=True)
class Budget:
    """When training is over: after so many steps or minutes, whichever is first."""

    steps: int | None = None
    """Batches"""
    minutes: float | None = None

    @property
    def said(self) -> bool:
        """Whether it says anything."""
        return self.steps is not None or self.minutes is not None

    def progress(self, step: int, elapsed_s: float) -> float:
        """Part that is spent, 0 to 1."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = elapsed_s / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(by_steps, by_time))

    def shared(self, runs: int) -> "Budget":
        """What each of several runs gets: all of the steps, its part of the time."""
        return Budget(self.steps, self.minutes and self.minutes / runs)

    def __str__(self) -> str:
        parts = []
        if self.steps is not None:
            parts.append(f"--steps {self.steps}")
        if self.minutes is not None:
            parts.append(f"--minutes {self.minutes:g}")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Watch:
    """What ends the loop."""

    budget: Budget
    clock: Callable[[], float]
    """Seconds that only rise"""
    stopped: Callable[[], bool]
    """Whether somebody asked to stop"""


def settle(asked: Budget, remembered: Budget, spec: TrainingSpec) -> Budget:
    """Decide on the budget of a run.

    What a run was begun with holds to its end: the learning rate follows it, and a
    run that is resumed must end as if it had never stopped.

    Parameters
    ----------
    asked : Budget
        What the command says now, if anything.
    remembered : Budget
        What the run was begun with, if it was.
    spec : TrainingSpec
        Its steps hold where nothing else is said.

    Raises
    ------
    ConfigError
        The two differ.
    """
    if remembered.said and asked.said and asked != remembered:
        raise ConfigError(
            f"the run was begun with {remembered}, not {asked}: resume it without. To "
            "train longer, begin a new run from its weights with --init"
        )
    for budget in (remembered, asked):
        if budget.said:
            return budget
    return Budget(spec.steps)


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
