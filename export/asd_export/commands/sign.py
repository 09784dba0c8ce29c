"""The command ``sign``: say that a bundle is ours."""

import argparse
from pathlib import Path

from asd_export.commands.common import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "sign",
        "sign a bundle",
        "Check every hash of a bundle and write manifest.sig: the signature of its "
        "manifest, and so of every file. Signing again with the same key changes "
        "nothing.",
        "asd-export sign bundles/pump-3 --key factory.key",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="private key"
    )
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line is the pass phrase of the key",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the signature of another key"
    )
    parser.set_defaults(run=_sign, stopped="interrupted")


def _sign(arguments: argparse.Namespace) -> int:
    from asd_export import keys

    passphrase = keys.read_passphrase(arguments.passphrase_file)
    pair = keys.load(arguments.key, passphrase)
    new = keys.sign(arguments.bundle, pair, replace=arguments.force)
    did = "signed by" if new else "was signed before by"
    print(f"{arguments.bundle} {did} {pair.public}")
    return 0
