"""Time several things against each other on a machine that is not quiet."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one call over all rounds."""

    median_ms: float
    min_ms: float


def interleaved(
    calls: Mapping[str, Callable[[], object]], rounds: int, each: int
) -> dict[str, Timing]:
    """Time calls in turn, so that a busy moment hits all of them.

    Parameters
    ----------
    calls : mapping
        What is timed, by name. The first round is not counted.
    rounds, each : int
        Turns, and runs of each call in one turn.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            for _ in range(each):
                began_s = time.perf_counter()
                call()
                if turn:
                    taken[name].append((time.perf_counter() - began_s) * 1000)
    return {
        name: Timing(float(np.median(ms)), float(min(ms))) for name, ms in taken.items()
    }
