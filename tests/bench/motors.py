"""Learn half of a machine's clips, score the rest: ``python -m bench.motors``.

Every class is normal once, all others are its anomalies. Learning and scoring are
the agent's own. Beside it stand each member alone and a detector without network:
two nearest neighbours on mean and standard deviation of 24 bands. Figures are means
over random halves with their standard deviation, the same halves for every row.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.member import Member, open_members
from asd_agent.hearing import Heard
from asd_agent.judge import Judge, judge_clip
from asd_agent.learn import Learner
from asd_agent.progress import Progress
from bench.recordings import Clip, Task, clips_of, hear, statistics, tasks_of

Places = NDArray[np.int64]
Scores = NDArray[np.float64]
Detect = Callable[[Places, Places], dict[str, Scores]]
"""From clips to learn and clips to score, to scores by name of the detector"""

BANDS = 24
"""Bands of the detector without network"""
ALPHA = 0.01
"""p-value of the thresholds, which no figure here asks for"""
NEIGHBOURS = 2
"""Its neighbours"""
MAX_FPR = 0.1
"""False alarm rate up to which the partial AUC counts"""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bundle that has heard every clip once."""

    name: str
    members: list[Member]
    heard: list[list[Heard]]
    """What was heard in each clip"""

    @classmethod
    def of(cls, path: Path, runtime: str, clips: Sequence[Clip]) -> "Listener":
        """Open a bundle and hear the clips."""
        bundle = Bundle.open(path)
        members = open_members(bundle, runtime)  # type: ignore[arg-type]  # argparse checked it
        name = path.resolve().name
        heard = []
        with Progress(sys.stderr, f"hearing with {name}", len(clips), "clips") as bar:
            for clip in clips:
                heard.append(hear(members, clip))
                bar.add(1)
        return cls(name, members, heard)

    def __call__(self, learnt: Places, scored: Places) -> dict[str, Scores]:
        """Learn some clips; score others with each member and with all together."""
        learner = Learner(self.members)
        for place in learnt:
            for heard in self.heard[place]:
                learner.add(heard)
            learner.end_segment()
        site = learner.site(self.name, datetime.now(timezone.utc))
        rows = {}
        for i, member in enumerate(self.members):
            judge = Judge([member], site, ALPHA)
            heard = [[_by(unit, i) for unit in self.heard[place]] for place in scored]
            rows[f"{self.name}: {member.spec.name}"] = _scores(judge, heard)
        if len(self.members) > 1:
            judge = Judge(self.members, site, ALPHA)
            heard = [self.heard[place] for place in scored]
            rows[f"{self.name}: all members"] = _scores(judge, heard)
        return rows


def _by(unit: Heard, index: int) -> Heard:
    """A unit as one member alone heard it."""
    return replace(unit, vectors=unit.vectors[index : index + 1])


def _scores(judge: Judge, clips: Sequence[Sequence[Heard]]) -> Scores:
    return np.array([judge_clip(judge, heard).score for heard in clips])


def neighbours(statistics: NDArray[np.float64]) -> Detect:
    """Make the detector without network, of statistics ``(clips, values)``."""

    def detect(learnt: Places, scored: Places) -> dict[str, Scores]:
        bank, queries = statistics[learnt], statistics[scored]
        distances = np.linalg.norm(queries[:, None] - bank[None], axis=2)
        nearest = np.sort(distances, axis=1)[:, :NEIGHBOURS]
        name = f"no network: {BANDS} bands, {NEIGHBOURS} nearest"
        return {name: nearest.mean(axis=1)}

    return detect


def evaluate(
    task: Task, detectors: Sequence[Detect], halves: int
) -> dict[str, NDArray[np.float64]]:
    """Score a task with every detector.

    Returns
    -------
    dict
        AUC and partial AUC of each half by name of the row, shape ``(halves, 2)``.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for learnt, held in task.halves(halves):
        scored = np.concatenate([held, task.anomalous])
        truth = np.arange(len(scored)) >= len(held)
        for detect in detectors:
            for name, scores in detect(learnt, scored).items():
                auc = float(roc_auc_score(truth, scores))
                part = float(roc_auc_score(truth, scores, max_fpr=MAX_FPR))
                found.setdefault(name, []).append((auc, part))
    return {name: np.array(values) for name, values in found.items()}


def kept(folder: Path, name: str, task: Task) -> dict[str, NDArray[np.float64]]:
    """Rows of networks that were trained for this task (`bench.trained`)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for file in sorted(folder.glob(f"{name}-*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["task"] != task.name:
            continue
        for row, scores in content["scores"].items():
            truth = np.arange(len(scores)) >= content["normal"]
            auc = float(roc_auc_score(truth, scores))
            part = float(roc_auc_score(truth, scores, max_fpr=MAX_FPR))
            found.setdefault(row, []).append((auc, part))
    return {
        f"{row} ({len(values)} halves)": np.array(values)
        for row, values in found.items()
    }


def table(results: dict[str, dict[str, NDArray[np.float64]]], column: int) -> str:
    """Write one measure of all tasks as a Markdown table."""
    heads = [*results, "mean"]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name in next(iter(results.values())):
        if any(name not in found for found in results.values()):
            continue  # not trained for every task yet
        values = [found[name][:, column] for found in results.values()]
        cells = [f"{v.mean():.3f} ± {v.std():.3f}" for v in values]
        cells.append(f"{np.mean([v.mean() for v in values]):.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print AUC and partial AUC of every task."""
    args = _parser().parse_args(argv)
    clips = clips_of(args.data, args.set)
    if not clips:
        print(f"{args.data}/labels.csv lists no {args.set}", file=sys.stderr)
        return 2
    bundles = [args.bundle, *args.also]
    detectors: list[Detect] = [Listener.of(b, args.runtime, clips) for b in bundles]
    spectra = np.array([statistics(clip, BANDS) for clip in clips])
    detectors.append(neighbours(spectra))
    tasks = tasks_of(clips)
    results = {task.name: evaluate(task, detectors, args.halves) for task in tasks}
    if args.trained:
        for task in tasks:
            results[task.name] |= kept(args.trained, args.set, task)
    sizes = ", ".join(
        f"{t.name}: {len(t.normal)} normal, {len(t.anomalous)} others" for t in tasks
    )
    print(f"{args.set}; clips {sizes}; {args.halves} random halves\n")
    print(f"AUC, mean ± standard deviation\n\n{table(results, 0)}\n")
    print(f"Partial AUC, false alarms up to {MAX_FPR:g}\n\n{table(results, 1)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.motors", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with labels.csv"
    )
    parser.add_argument("--set", default="motors", help="default: %(default)s")
    parser.add_argument("--halves", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument(
        "--also", type=Path, action="append", default=[], help="another bundle"
    )
    parser.add_argument("--trained", type=Path, help="folder of bench.trained")
    parser.add_argument("--runtime", choices=("auto", "onnx", "tflite"), default="auto")
    return parser


if __name__ == "__main__":
    sys.exit(main())
