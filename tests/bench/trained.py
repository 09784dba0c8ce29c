"""Train on half of a machine's clips, score the rest: ``python -m bench.trained``.

As `bench.motors`, but every network is trained for each task and half anew: the clips
to learn are one class, simulated machines and noise are the others. No clip of another
task is trained on: it is an anomaly of this one. Scores are kept in the folder OUT, so
that the command goes on where it was stopped; `bench.motors --trained OUT` puts the
rows into its table.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.capture.feed import Feed
from asd_agent.capture.recording import Recording
from asd_agent.features import units
from asd_agent.inference.embedder import EmbedderSpec
from asd_agent.inference.open import open_embedder
from asd_export.convert import convert
from asd_export.files import FILES
from asd_train.budget import Budget
from asd_train.data.dcase import Clip as Named
from asd_train.data.dcase import read_folder
from asd_train.evaluate.ear import Ear
from asd_train.evaluate.hear import hear_all
from asd_train.evaluate.panel import only, plan_of
from asd_train.fit import Plan, fit
from asd_train.models.autoencoder import FEATURES, fit_autoencoder
from asd_train.recipe import Recipe, load
from asd_train.run import Run
from bench.motors import Listener, Places, Scores
from bench.recordings import Clip, Task, clips_of, tasks_of

NOISE_CLIPS = 40
"""Clips that the slices of noise are joined to, about 10 s each"""
INT8 = "onnx-int8"
AUTOENCODER = "autoencoder"
"""Stands among the recipes for the baseline that DCASE 2023 ships"""


@dataclass(frozen=True, slots=True)
class Bench:
    """What does not change from task to task."""

    clips: list[Clip]
    """Of the set that is scored"""
    others: list[Named]
    """What the network is to tell them from"""
    out: Path
    steps: int
    init: dict[str, Path]
    """Run whose weights a recipe starts from"""


def join_noise(data: Path, folder: Path) -> list[Named]:
    """Join slices of one second to clips, as long as those of machines."""
    with (data / "labels.csv").open(encoding="utf-8", newline="") as file:
        paths = sorted(r["path"] for r in csv.DictReader(file) if r["set"] == "noise")
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, part in enumerate(np.array_split(np.array(paths), NOISE_CLIPS)):
        path = folder / f"{number:04}.wav"
        if not path.exists():
            slices = [soundfile.read(data / name, dtype="float32") for name in part]
            whole = np.concatenate([samples for samples, _ in slices])
            soundfile.write(path, whole, slices[0][1])
        found.append(Named(path, "noise", "00", "train", "", "normal", ""))
    return found


def lay_out(root: Path, learnt: Sequence[Path], others: Sequence[Named]) -> None:
    """Write a data set: the machine's own clips and all others, by reference."""
    (root / "clips").mkdir(parents=True)
    own = [Named(p, "own", "00", "train", "", "normal", "") for p in learnt]
    with (root / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        keys = ("machine", "section", "split", "domain", "label", "attributes")
        table.writerow(("path", *keys))
        for number, clip in enumerate((*own, *others)):
            link = Path("clips") / f"{number:05}{clip.path.suffix}"
            (root / link).symlink_to(clip.path.resolve())
            table.writerow((link, *(getattr(clip, key) for key in keys)))


def train(bench: Bench, recipe: Recipe, data: Path, folder: Path) -> Run:
    """Train for one task and half."""
    if (folder / "model.safetensors").is_file():
        return Run.open(folder)
    budget = Budget(bench.steps, None)
    begin = bench.init.get(recipe.name)
    init = Run.open(begin) if begin else None
    plan = Plan(device="cpu", resume=folder.is_dir())
    return fit(recipe, data, folder, budget, plan=plan, init=init)


def listeners(run: Run, clips: Sequence[Clip]) -> Iterator[Listener]:
    """Hear every clip with the run's network: in float32, in int8, untrained."""
    named = [Named(c.path, "own", "00", "test", "", "", "") for c in clips]
    ear = Ear.of_run(run, "cpu")
    ears = {"float32": ear, "int8": quantised(run, ear)}
    if run.recipe.name == "best":
        ears["random weights"] = Ear.of_run(run, "cpu", random_weights=1)
    for precision, own in ears.items():
        scoring = run.recipe.scoring
        if len(scoring.members) == 1:
            scoring = only(scoring, (scoring.members[0].name, "statistics"))
        panel = plan_of(own, scoring, "own").of_all
        heard = [panel.heard(units) for units in hear_all(own, named)]
        yield Listener(f"{run.recipe.name} {precision}", list(panel.members), heard)


def quantised(run: Run, ear: Ear) -> Ear:
    """The same ear with the network as an int8 file for ONNX Runtime."""
    shape = run.info.features.unit_shape
    content = convert(run.network(), shape, run.calibration()[0], [INT8], _silent)
    spec = EmbedderSpec(size=run.info.network.embedding, models=(FILES[INT8],))
    embedder = open_embedder(spec, lambda _: content[INT8], unit_shape=shape)
    member: Member = replace(ear.members[0], embedder=embedder)
    return replace(ear, members=(member, *ear.members[1:]), network=None)


def _silent(_line: str) -> None:
    """Take a line of the converter."""


def spectra(clip: Clip) -> NDArray[np.float32]:
    """Input of the autoencoder, shape ``(n, bands, frames)``."""
    with closing(Feed(Recording(clip.path), FEATURES.rate_hz)) as feed:
        samples = np.concatenate([block.samples for block in feed.blocks()])
    return units(FEATURES, samples)


def rebuilt(clips: Sequence[Clip], learnt: Places, scored: Places) -> dict[str, Scores]:
    """Scores by the autoencoder, fitted to the clips to learn."""
    normal = np.concatenate([spectra(clips[i]) for i in learnt])
    model = fit_autoencoder(normal, seed=1)
    scores = np.array([model.score(spectra(clips[i])) for i in scored])
    return {"autoencoder of DCASE 2023": scores}


def score(bench: Bench, task: Task, name: str, half: int, what: str) -> None:
    """Train and score one recipe on one half; keep the scores."""
    learnt, held = list(task.halves(half + 1))[half]
    stem = f"{name}-{task.name.replace('*', 'x')}-{half}"
    file = bench.out / f"{stem}-{what}.json"
    if file.exists():
        return
    scored: Places = np.concatenate([held, task.anomalous])
    rows: dict[str, Scores] = {}
    if what == AUTOENCODER:
        rows = rebuilt(bench.clips, learnt, scored)
    else:
        data = bench.out / "data" / stem
        if not data.exists():
            lay_out(data, [bench.clips[i].path for i in learnt], bench.others)
        recipe = load(what).model_copy(update={"one_per": "joint"})
        run = train(bench, recipe, data, bench.out / "runs" / f"{stem}-{what}")
        for listener in listeners(run, bench.clips):
            rows |= listener(learnt, scored)
    kept = {"set": name, "task": task.name, "half": half, "normal": len(held)}
    scores = {row: values.tolist() for row, values in rows.items()}
    file.write_text(json.dumps(kept | {"scores": scores}), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Train and score; prints nothing but progress."""
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    others = join_noise(args.data, args.out / "noise")
    simulated = read_folder(args.simulated, "train")
    others += [c for c in simulated if int(c.section) < args.sections]
    init = dict(text.split("=", 1) for text in args.init)
    runs = {name: Path(path) for name, path in init.items()}
    clips = clips_of(args.data, args.set)
    bench = Bench(clips, others, args.out, args.steps, runs)
    for half in range(args.halves):
        for task in tasks_of(clips):
            for name in args.recipes.split(","):
                score(bench, task, args.set, half, name)
    return 0


_RECIPES = f"{AUTOENCODER},secom_mfn,secom_mnv2,best"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.trained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with labels.csv")
    add("--simulated", type=Path, required=True, help="folder of asd-train simulate")
    add("--sections", type=int, default=2, help="simulated ones (%(default)s)")
    add("-o", dest="out", type=Path, required=True, help="folder of scores")
    add("--set", default="motors", help="default: %(default)s")
    add("--recipes", default=_RECIPES, help="%(default)s")
    add("--init", action="append", default=[], metavar="RECIPE=RUN")
    add("--halves", type=int, default=2, help="default: %(default)s")
    add("--steps", type=int, default=40, help="batches (%(default)s)")
    add("--threads", type=int, default=1, help="default: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
