"""The command ``ablate``: what each part of a recipe is worth."""

import argparse
from pathlib import Path

from asd_train.commands.common import (
    Commands,
    command,
    count,
    need_torch,
    positive,
    stop_signal,
)
from asd_train.commands.recipe_flags import add_recipe, changed

_EXAMPLE = """examples:
  asd-train ablate best --data DIR -o OUT --minutes 20
  asd-train ablate best --data DIR -o OUT --minutes 20 --rows arcface,no_mixup,knn

Trains the recipe, then again with one thing changed at a time, and evaluates each.
Rows that change the scoring alone use the first network. After Ctrl-C the same
command goes on; what is done is not done again. OUT gets ablation.json, .csv and .md,
and a folder for each row.

rows of training  arcface adacos fixed_centres no_mixup sections mobilefacenet
                  uncentred
rows of scoring   knn density no_density kmeans16 lof mahalanobis minimum statistics
                  no_network network min_p

A row that makes no difference to the recipe is left out.
"""


def add(commands: Commands) -> None:
    """Add the command."""
    text = "train and score a recipe with one thing changed at a time"
    parser = command(commands, "ablate", text, _EXAMPLE)
    add_recipe(parser)
    parser.add_argument(
        "-o", dest="out", metavar="OUT", type=Path, required=True, help="where to write"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--steps", type=count, metavar="N", help="batches of each run (the recipe's)"
    )
    length.add_argument(
        "--minutes", type=positive, metavar="N", help="minutes of each run"
    )
    parser.add_argument("--rows", metavar="A,B", help="these alone (all)")
    parser.add_argument("--machines", metavar="A,B", help="these types alone")
    parser.add_argument(
        "--protocol", metavar="YEAR", default="auto", help="as evaluate"
    )
    parser.add_argument("--seed", type=int, help="seed (the recipe's)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="%(default)s"
    )
    parser.add_argument(
        "--jobs", type=count, default=2, metavar="N", help="threads (%(default)s)"
    )
    parser.set_defaults(run=_ablate)


def _ablate(arguments: argparse.Namespace) -> int:
    need_torch()
    from datetime import datetime, timezone

    from asd_train.budget import Budget
    from asd_train.evaluate.ablation import Order, ablate, markdown
    from asd_train.evaluate.protocol import read_year
    from asd_train.evaluate.switches import chosen
    from asd_train.recipe import load

    rows = chosen(tuple(arguments.rows.split(",")) if arguments.rows else ())
    recipe = changed(load(arguments.recipe), arguments)
    with stop_signal() as stopped:
        order = Order(
            data=arguments.data,
            out=arguments.out,
            budget=Budget(arguments.steps, arguments.minutes),
            now=lambda: datetime.now(timezone.utc),
            stopped=stopped,
            device=arguments.device,
            year=read_year(arguments.protocol),
            jobs=arguments.jobs,
        )
        results = ablate(recipe, rows, order)
    print(markdown(results), end="")
    print(f"written: {arguments.out / 'ablation.md'}")
    return 0
