"""The command line of the exporter: a thin list of `asd_export.commands`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from asd_agent.errors import AsdError
from asd_export.commands import analyse, build, fleet, inspect, keygen, push, sign

_COMMANDS = (build, analyse, inspect, keygen, sign, push, fleet)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="asd-export: %(message)s")
    try:
        code: int = arguments.run(arguments)
        return code
    except AsdError as error:
        print(f"asd-export: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # as of `asd-export fleet | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        # A command says by `stopped` what it left behind.
        print(f"asd-export: {arguments.stopped}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="asd-export", description="Turn a trained run into a bundle for devices."
    )
    parser.set_defaults(stopped="interrupted")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(commands)
    return parser
