"""The command ``inspect``: say what a bundle holds."""

import argparse
from pathlib import Path

from asd_export.commands.common import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "inspect",
        "verify a bundle and say what it holds",
        "Check every hash of a bundle and describe it: front end, network, files, how "
        "well they keep to the trained network, tolerances, licence, signature.",
        "asd-export inspect bundles/default --trusted-key factory.pub",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder")
    parser.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        default=[],
        metavar="PUB",
        help="it must be signed with this public key, or another given so",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    from asd_export import describe, keys

    trusted = keys.public_keys(arguments.trusted_key)
    tell = describe.as_json if arguments.json else describe.describe
    print(tell(arguments.bundle, trusted))
    return 0
