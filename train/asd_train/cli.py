"""The command line of the trainer."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from asd_agent.errors import AsdError
from asd_train.commands import (
    ablate,
    compare,
    data,
    evaluate,
    fit,
    recipes,
    report,
    simulate,
)

_COMMANDS = (simulate, data, recipes, fit, evaluate, report, compare, ablate)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        return code
    except AsdError as error:
        print(f"asd-train: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # as of `asd-train data list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("asd-train: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asd-train",
        description="Train networks that turn machine sound into embeddings.",
        epilog="The guide is docs/training.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
