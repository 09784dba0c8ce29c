"""Sound with holes of known place and length, through a worker to its ledger.

What was injected must be what is reported, and no window that reaches a hole may be
called normal::

    PYTHONPATH=tests python -m faults.dropouts --hours 2
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from asd_agent import worker as module
from asd_agent.capture.chunk import Chunk
from asd_agent.coverage import Kind
from asd_agent.mqtt.clock import Anchor
from asd_agent.scoring.decision import Decision, State
from asd_agent.worker import Worker
from support.agents import RATE_HZ, agent, ear_of, know
from support.bundles import forge
from support.sounds import Played, noise

CHUNK = RATE_HZ // 10
TAPE_S = 60
EVERY_S = 20.0
"""Mean of the seconds from one hole to the next"""


@dataclass(frozen=True, slots=True)
class Found:
    """What was injected and what was told."""

    holes: int
    told: int
    """Holes that the worker counted"""
    lost: int
    """Samples that were missing, and those that came"""
    came: int
    counted: int
    """Samples that the coverage holds"""
    gap: int
    """Of these, not judged"""
    normal: int
    """Windows called normal that reach a hole; must be 0"""
    judged: int
    """Windows called normal in all"""

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        exact = self.told == self.holes and self.counted == self.lost + self.came
        return exact and self.normal == 0 and self.judged > 0 and self.gap >= self.lost


def run(folder: Path, seconds: float, seed: int) -> Found:
    """Let a worker listen to so many seconds with holes at random places."""
    made = agent(folder)
    bundle = know(made, forge(folder / "known", id="known"))
    made.configure(recording=None, pace=None, microphone="mic")
    config = made.config()
    source = config.sources[0]
    decisions: list[Decision] = []

    def emit(_: Worker, decision: Decision, __: Anchor) -> None:
        decisions.append(decision)

    chunks, holes = _chunks(seconds, np.random.default_rng(seed))
    worker = Worker(config, source, ear_of(config, source, bundle), emit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "open_source", lambda _: Played(iter(chunks)))
        worker.run()
    assert worker.error is None, worker.error
    totals = worker.coverage.totals
    normal = [d for d in decisions if d.state is State.NORMAL]
    return Found(
        holes=len(holes),
        told=worker.dropouts,
        lost=sum(past - first for first, past in holes),
        came=sum(len(chunk.samples) for chunk in chunks),
        counted=sum(totals.values()),
        gap=sum(count for (kind, _), count in totals.items() if kind is Kind.GAP),
        normal=sum(_reaches(decision, holes) for decision in normal),
        judged=len(normal),
    )


def _chunks(
    seconds: float, random: np.random.Generator
) -> tuple[list[Chunk], list[tuple[int, int]]]:
    """Sound, and the holes in it as stretches of the sample counter."""
    tape = noise(TAPE_S * RATE_HZ, seed=21)
    chunks, holes, counter = [], [], 0
    for number in range(int(seconds * 10)):
        at = number * CHUNK % len(tape)
        samples, lost = tape[at : at + CHUNK], 0
        if number and random.random() < 0.1 / EVERY_S:
            lost = int(random.integers(1, 5 * RATE_HZ))
            holes.append((counter, counter + lost))
        chunks.append(Chunk(samples, RATE_HZ, gap=lost > 0, lost=lost))
        counter += lost + len(samples)
    return chunks, holes


def _reaches(decision: Decision, holes: Sequence[tuple[int, int]]) -> bool:
    start = decision.end_sample - decision.window_samples
    return any(start < past and first < decision.end_sample for first, past in holes)


def main() -> int:
    """Print what was found; the exit code says whether it is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.disable()  # every hole is told
    with tempfile.TemporaryDirectory(prefix="asd-holes-") as folder:
        found = run(Path(folder), options.hours * 3600, options.seed)
    print(found)
    return int(not found.good)


if __name__ == "__main__":
    sys.exit(main())
