"""The command ``fit``: train a network."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asd_train.commands.common import (
    Commands,
    command,
    count,
    need_torch,
    positive,
    stop_signal,
)
from asd_train.commands.recipe_flags import add_recipe, changed
from asd_train.commands.recordings import add_reading, given, reading

if TYPE_CHECKING:
    from asd_train.recipe import Recipe
    from asd_train.run import Run

_EXAMPLE = """example:
  asd-train simulate /tmp/sim --machines fan,pump --sections 2 --clips-train 10 \\
      --clips-test 4 --seconds 4
  asd-train fit smoke --data /tmp/sim -o /tmp/run --steps 60
  asd-export build /tmp/run -o /tmp/bundle --files onnx-float32

DIR holds <machine>/train/*.wav or *.flac, named as DCASE does, and may hold
<machine>/test. After Ctrl-C, or a power cut, the same command with --resume goes
on as if nothing had happened; it keeps the length that it was begun with.

On several GPUs:
  torchrun --nproc-per-node 2 -m asd_train fit default --data DIR -o RUN
"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(commands, "fit", "train a network", _EXAMPLE)
    add_recipe(parser)
    parser.add_argument(
        "-o", dest="out", metavar="RUN", type=Path, required=True, help="run to write"
    )
    parser.add_argument(
        "--machines", metavar="A,B", help="train on these types alone (the recipe's)"
    )
    add_reading(parser)
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to train (%(default)s: a GPU if there is one)",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=count, metavar="N", help="batches (the recipe's)"
    )
    length.add_argument(
        "--minutes", type=positive, metavar="N", help="minutes, instead of steps"
    )
    parser.add_argument("--seed", type=int, help="seed (the recipe's)")
    parser.add_argument(
        "--resume", action="store_true", help="go on from RUN's checkpoint"
    )
    parser.add_argument(
        "--init",
        metavar="RUN",
        type=Path,
        help="begin from the weights of this run, which has the same network",
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write RUN/tensorboard, too"
    )
    parser.set_defaults(run=_fit)


def _fit(arguments: argparse.Namespace) -> int:
    need_torch()
    from asd_train.budget import Budget  # torch is slow to load
    from asd_train.distributed import joined
    from asd_train.fit import Plan
    from asd_train.fleet import fit_all

    recipe = _recipe(arguments)
    budget = Budget(arguments.steps, arguments.minutes)
    with stop_signal() as stopped, joined(arguments.device) as world:
        runs = fit_all(
            recipe,
            arguments.data,
            arguments.out,
            budget,
            plan=Plan(
                device=arguments.device,
                resume=arguments.resume,
                stopped=stopped,
                world=world,
                tensorboard=arguments.tensorboard,
            ),
            init=arguments.init,
            reading=reading(arguments),
        )
    if world.main:
        _report(arguments, runs)
    return 0


def _report(arguments: argparse.Namespace, runs: "dict[str, Run]") -> None:
    """Say what was trained and what can be done with it."""
    for run in runs.values():
        metrics = ", ".join(f"{k} {v}" for k, v in run.info.metrics.items())
        print(f"{run.path}: {run.info.steps} steps, {metrics}")
    out = arguments.out
    one = out if "" in runs else out / "<machine>"
    data = f"--data {arguments.data}{given(arguments)}"
    print(f"next: asd-train evaluate {out} {data}")
    print(f"      asd-export build {one} -o BUNDLE")


def _recipe(arguments: argparse.Namespace) -> "Recipe":
    """Recipe of the run that is resumed, or the one named; with the flags' changes."""
    from asd_train.recipe import load  # needs torch

    saved: Path = arguments.out / "recipe.yaml"
    resumed = arguments.resume and saved.is_file()
    return changed(load(str(saved) if resumed else arguments.recipe), arguments)
