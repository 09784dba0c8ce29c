"""Command line of ``asd-agent bundle``: what may be said, and nothing that is slow."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]
AddVerb = Callable[[Any, str, Command, str, str], argparse.ArgumentParser]
"""Adds a command to others: its name, what it calls, what it does, an example"""


def add(verbs: Any, verb: AddVerb) -> None:
    """Add ``bundle`` and its commands."""
    parser = verb(
        verbs,
        "bundle",
        _say_which,
        "see, test, install and roll back the model that listens",
        "asd-agent bundle list --config /etc/asd.yaml",
    )
    own = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_list(own, verb)
    _add_verify(own, verb)
    _add_install(own, verb)
    _add_rollback(own, verb)
    parser.set_defaults(parser=parser)


def _add_list(verbs: Any, verb: AddVerb) -> None:
    parser = verb(
        verbs,
        "list",
        _command("list"),
        "list the bundles of this device, and which were rejected",
        "asd-agent bundle list --config /etc/asd.yaml",
    )
    _add_config(parser)


def _add_verify(verbs: Any, verb: AddVerb) -> None:
    parser = verb(
        verbs,
        "verify",
        _command("verify"),
        "check a bundle, and that this device computes what its builder computed",
        "asd-agent bundle verify --config /etc/asd.yaml\n"
        "  asd-agent bundle verify pump-3/ --trusted-key factory.pub",
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", help="a bundle; default: the one that runs"
    )
    parser.add_argument("--config", type=Path, help="whose bundles are taken, and how")
    parser.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        default=[],
        metavar="PUB",
        help="in place of --config: public key in PEM; may be given again",
    )
    parser.add_argument(
        "--allow-unsigned",
        action="store_true",
        help="in place of --config: take a bundle without a signature",
    )
    parser.add_argument(
        "--device-class",
        default="any",
        metavar="CLASS",
        help="in place of --config: kind of device that the bundle is for",
    )


def _add_install(verbs: Any, verb: AddVerb) -> None:
    parser = verb(
        verbs,
        "install",
        _command("install"),
        "install a bundle from a folder, as a push would; a running agent switches "
        "to it by itself",
        "asd-agent bundle install pump-3/ --config /etc/asd.yaml",
    )
    parser.add_argument("folder", type=Path, help="a bundle")
    _add_config(parser)
    parser.add_argument(
        "--allow-downgrade",
        action="store_true",
        help="take a bundle that is not newer than the installed one",
    )
    parser.add_argument(
        "--learn-anew",
        action="store_true",
        help="where no sound was kept: learn from what is heard first; the machines "
        "must run well",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="take a bundle that this device rejected before",
    )


def _add_rollback(verbs: Any, verb: AddVerb) -> None:
    parser = verb(
        verbs,
        "rollback",
        _command("rollback"),
        "go back to the bundle before, and never try the current one again",
        "asd-agent bundle rollback --config /etc/asd.yaml",
    )
    _add_config(parser)


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="configuration file")


def _command(name: str) -> Command:
    def run(args: argparse.Namespace) -> int:
        # So that `--help` is at once there.
        from asd_agent import bundle_commands  # noqa: PLC0415

        return bundle_commands.COMMANDS[name](args)

    return run


def _say_which(args: argparse.Namespace) -> int:
    args.parser.error("say list, verify, install or rollback")
    return 2
