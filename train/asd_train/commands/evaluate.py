"""The command ``evaluate``: score a data set as the device does."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_train.commands.common import Commands, command, count, need_torch
from asd_train.commands.recordings import add_reading, reading

if TYPE_CHECKING:
    from asd_train.evaluate.subject import Subject
    from asd_train.scoring_spec import ScoringSpec

_FILES = (
    *("int8", "float32"),
    *("onnx-int8", "onnx-float32", "tflite-int8", "tflite-float32"),
)
_EXAMPLE = """examples:
  asd-train evaluate RUN --data DIR
  asd-train evaluate RUN1 RUN2 RUN3 --data DIR          other seeds: mean and deviation
  asd-train evaluate RUN --data DIR --members statistics
  asd-train evaluate RUN --data DIR --quantised --bundle BUNDLE
  asd-train evaluate BUNDLE --data DIR -o OUT --file onnx-int8

Each section is learnt from its training clips and judged by the device's own code;
labels of test clips count in the figures alone.

A run is scored as its recipe says: by domain where it has domains. A bundle is scored
as a device does it: one bank of all that was learnt. With --quantised a run is heard
twice, by its own network and by the int8 file of a bundle that was built of it
(RUN/bundle if --bundle does not tell), and a bundle by its float and its int8 file.

OUT (RUN/evaluation; a suffix names members, scoring or random weights) gets
evaluation.json, scores.csv, embeddings and spectra for asd-train report, and
submission/, the files that the challenge's evaluators read. OUT/quantised holds the
same of the int8 file.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    text = "score recordings with a run or a bundle, by the rules of DCASE Task 2"
    parser = command(commands, "evaluate", text, _EXAMPLE)
    parser.add_argument(
        "paths", metavar="RUN|BUNDLE", type=Path, nargs="+", help="what to evaluate"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of recordings"
    )
    parser.add_argument(
        "-o", dest="out", metavar="OUT", type=Path, help="where to write"
    )
    parser.add_argument(
        "--protocol",
        metavar="YEAR",
        default="auto",
        help="rules of 2020, 2021, 2022, ... (%(default)s: by names and folders)",
    )
    parser.add_argument("--machines", metavar="A,B", help="these types alone")
    add_reading(parser)
    parser.add_argument(
        "--members", metavar="A,B", help="score with these; statistics: no network"
    )
    parser.add_argument(
        "--scoring", metavar="FILE", type=Path, help="YAML, instead of the recipe's"
    )
    parser.add_argument(
        "--random-weights",
        metavar="SEED",
        type=int,
        help="the same network untrained; its batch norms have seen training units",
    )
    _add_files(parser)
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="%(default)s"
    )
    parser.add_argument(
        "--jobs", type=count, default=2, metavar="N", help="threads (%(default)s)"
    )
    parser.add_argument(
        "--cache", metavar="DIR", type=Path, help="what was heard (OUT/cache)"
    )
    parser.add_argument(
        "--alone", action="store_true", help="no statistics beside it, for reference"
    )
    parser.set_defaults(run=_evaluate)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quantised", action="store_true", help="float and int8 side by side"
    )
    parser.add_argument(
        "--bundle", metavar="BUNDLE", type=Path, help="whose int8 file to hear with"
    )
    parser.add_argument(
        "--file",
        choices=_FILES,
        help="model file of the bundle (a device's choice; --quantised: int8)",
    )


def _evaluate(arguments: argparse.Namespace) -> int:
    need_torch()
    from asd_agent.errors import ConfigError
    from asd_train.evaluate import table
    from asd_train.evaluate.subject import is_bundle

    paths: list[Path] = arguments.paths
    if len(paths) > 1 and arguments.out:
        raise ConfigError("-o is for one run: of several each has its own evaluation")
    if arguments.out is None and any(map(is_bundle, paths)):
        raise ConfigError("a bundle is left as it is: say -o OUT where to write")
    summaries = []
    for path in paths:
        summaries.append(_one(arguments, path))
    if len(summaries) > 1:
        print(table.over_seeds(summaries))
    return 0


def _one(arguments: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Evaluate one run or bundle, and its int8 file if asked."""
    from asd_train.evaluate import table
    from asd_train.evaluate.evaluate import evaluate

    subject, quantised = _subjects(arguments, path)
    out = arguments.out or path / f"evaluation{_suffix(arguments)}"
    home = out if arguments.out else path / "evaluation"
    cache = arguments.cache or home / "cache"
    summary = evaluate(subject, _order(arguments, out, cache))
    print(f"{subject.name} ({path})\n{table.report(summary)}\nwritten: {out}")
    if quantised:
        other = evaluate(quantised, _order(arguments, out / "quantised", cache))
        print(f"{subject.name}, int8\n{table.report(other)}")
        print(table.side_by_side(summary, other))
    return summary


def _order(arguments: argparse.Namespace, out: Path, cache: Path) -> Any:
    from datetime import datetime, timezone

    from asd_train.evaluate.evaluate import Order
    from asd_train.evaluate.protocol import read_year

    return Order(
        data=arguments.data,
        out=out,
        cache=cache,
        now=datetime.now(timezone.utc),
        year=read_year(arguments.protocol),
        machines=tuple(arguments.machines.split(",")) if arguments.machines else (),
        reading=reading(arguments),
        reference=not arguments.alone,
        jobs=arguments.jobs,
    )


def _subjects(
    arguments: argparse.Namespace, path: Path
) -> "tuple[Subject, Subject | None]":
    """What to evaluate, and its quantised twin."""
    from asd_train.evaluate import subject as subjects

    file = arguments.file
    twin = None
    if subjects.is_bundle(path):
        first = file if not arguments.quantised else "float32"
        subject = subjects.of_bundle(path, first)
        if arguments.quantised:
            twin = subjects.of_bundle(path, file or "int8")
    else:
        subject = subjects.of_run(path, arguments.device, arguments.random_weights)
        if arguments.quantised:
            bundle = arguments.bundle or path / "bundle"
            twin = subjects.through_bundle(subject, bundle, file or "int8")
    scoring = _scoring(arguments, subject.scoring)
    return subject.scored_by(scoring), twin.scored_by(scoring) if twin else None


def _scoring(
    arguments: argparse.Namespace, own: "ScoringSpec | None"
) -> "ScoringSpec | None":
    """The scoring that the command asks for instead; None: none."""
    from asd_train.evaluate.panel import only
    from asd_train.evaluate.scoring_file import read_scoring
    from asd_train.scoring_spec import ScoringSpec

    scoring = read_scoring(arguments.scoring) if arguments.scoring else None
    if arguments.members:
        names = arguments.members.split(",")
        scoring = only(scoring or own or ScoringSpec(), names)
    return scoring


def _suffix(arguments: argparse.Namespace) -> str:
    parts = [
        arguments.members and arguments.members.replace(",", "-"),
        arguments.scoring and arguments.scoring.stem,
        arguments.random_weights is not None and f"random{arguments.random_weights}",
    ]
    return "".join(f"-{part}" for part in parts if part)
