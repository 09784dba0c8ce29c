"""What the commands of the exporter share: their look, and their words."""

import argparse
import sys
from importlib import import_module
from typing import TypeAlias

from asd_agent.errors import RuntimeMissing

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(
    commands: Commands, name: str, text: str, description: str, example: str
) -> argparse.ArgumentParser:
    """Add a command; `text` is its one line, `example` what can be run."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=description,
        epilog=f"example:\n  {example}\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def need(*modules: str, extra: str = "export") -> None:
    """See that modules of an extra are there.

    Raises
    ------
    RuntimeMissing
        One is not installed; the text says what to install.
    """
    try:
        for name in modules:
            import_module(name)
    except ImportError as error:
        raise RuntimeMissing(f"{error}; pip install 'asd[{extra}]'") from error


def say(line: str) -> None:
    """Tell what is being done."""
    print(line, file=sys.stderr, flush=True)


def whole(text: str) -> int:
    """Read a whole number above 0."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
