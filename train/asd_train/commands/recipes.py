"""The command ``recipes``: list the packaged recipes, or print one."""

import argparse

from asd_train.commands.common import Commands, command, need_torch


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "recipes",
        "list the packaged recipes, or print one",
        "example:\n  asd-train recipes default > mine.yaml\n",
    )
    parser.add_argument("name", nargs="?", help="recipe to print, defaults included")
    parser.set_defaults(run=_recipes)


def _recipes(arguments: argparse.Namespace) -> int:
    need_torch()
    from asd_train.recipe import dump, load, packaged  # needs torch

    if arguments.name:
        print(dump(load(arguments.name)), end="")
        return 0
    names = packaged()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {load(name).summary}")
    return 0
