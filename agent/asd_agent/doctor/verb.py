"""Command line of ``asd-agent doctor``: what may be said, and nothing that is slow."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]
AddVerb = Callable[[Any, str, Command, str, str], argparse.ArgumentParser]
"""Adds a command to others: its name, what it calls, what it does, an example"""
LONGEST_S = 600.0
"""Seconds that a source may be listened to"""


def add(verbs: Any, verb: AddVerb) -> None:
    """Add ``doctor``."""
    parser = verb(
        verbs,
        "doctor",
        _run,
        "look at everything that the agent needs: machine, microphones, bundle, "
        "broker; say how to mend what is wrong",
        "asd-agent doctor --config /etc/asd.yaml\n"
        "  asd-agent doctor --config /etc/asd.yaml --bundle /tmp/support.zip",
    )
    parser.add_argument("--config", type=Path, required=True, help="configuration file")
    parser.add_argument("--source", help="listen to this source only")
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=5.0,
        help="listen to each source for so long; default: 5",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON, at the end"
    )
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="ZIP",
        help="write a file for support, without secrets",
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite the file of --bundle"
    )
    parser.add_argument(
        "--disturb",
        action="store_true",
        help="log in at the broker although the agent runs: it may be thrown out "
        "for a moment",
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 1 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {LONGEST_S:g}")
    return value


def _run(args: argparse.Namespace) -> int:
    # So that `--help` is at once there.
    from asd_agent.doctor.command import run  # noqa: PLC0415

    return run(args)
