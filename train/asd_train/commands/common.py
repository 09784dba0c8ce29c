"""What the commands of the trainer share: their look, and their questions."""

import argparse
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import TypeAlias

from asd_agent.errors import RuntimeMissing

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(
    commands: Commands, name: str, text: str, example: str
) -> argparse.ArgumentParser:
    """Add a command; `text` is its one line, `example` what can be run."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def positive(text: str) -> float:
    """Read a number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def need(what: str, *modules: str) -> None:
    """See that modules of the extra `train` are there.

    Raises
    ------
    RuntimeMissing
        One is not installed; the text says that `what` needs it.
    """
    try:
        for name in modules:
            import_module(name)
    except ImportError as error:
        raise RuntimeMissing(
            f"{what} needs {' and '.join(modules)} ({error}): pip install 'asd[train]'"
        ) from error


def need_torch() -> None:
    """See that torch is there, see `need`."""
    need("the trainer", "torch")


@contextmanager
def stop_signal() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a question to be asked between steps."""
    asked: list[int] = []
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
