"""The flags that say how a folder of recordings is read."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asd_train.data.reading import Reading

LAYOUTS = ("auto", "dcase", "mimii", "toyadmos", "labels", "classes")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add ``--layout``, ``--channel`` and ``--strict``."""
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="auto",
        help="folders of DIR (%(default)s), see asd-train data check --help",
    )
    parser.add_argument(
        "--channel",
        type=_channel,
        default=0,
        metavar="N",
        help="channel of recordings with several, from 0 (%(default)s)",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="end with an error where a recording cannot be used",
    )


def reading(arguments: argparse.Namespace) -> "Reading":
    """How these flags say it."""
    from asd_train.data.reading import Reading  # soundfile is slow to load

    return Reading(arguments.layout, arguments.channel, arguments.strict)


def given(arguments: argparse.Namespace) -> str:
    """The flags again, for a command that is to read the same; none: empty."""
    layout = f" --layout {arguments.layout}" if arguments.layout != "auto" else ""
    return layout + (f" --channel {arguments.channel}" if arguments.channel else "")


def _channel(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is less than 0")
    return number
