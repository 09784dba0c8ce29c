"""The flags that name a recipe, what it learns from, and what is changed in it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asd_train.recipe import Recipe


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Add ``RECIPE`` and ``--data``."""
    parser.add_argument(
        "recipe", metavar="RECIPE", help="packaged recipe, or a file ending in .yaml"
    )
    parser.add_argument(
        "--data", metavar="DIR", type=Path, required=True, help="folder of recordings"
    )


def changed(recipe: "Recipe", arguments: argparse.Namespace) -> "Recipe":
    """Recipe with what ``--machines`` and ``--seed`` say."""
    if arguments.machines:
        machines = tuple(arguments.machines.split(","))
        recipe = recipe.model_copy(update={"machines": machines})
    if arguments.seed is not None:
        training = recipe.training.model_copy(update={"seed": arguments.seed})
        recipe = recipe.model_copy(update={"training": training})
    return recipe
