"""The command ``keygen``: make a pair of keys that signs bundles."""

import argparse
from pathlib import Path

from asd_export.commands.common import Commands, command


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "keygen",
        "make a pair of keys that signs bundles",
        "Make an Ed25519 pair: NAME.key, which stays with you and only you can read, "
        "and NAME.pub, which every device needs. Nothing is ever written over.",
        "asd-export keygen factory",
    )
    parser.add_argument(
        "name", type=Path, metavar="NAME", help="of the files, with a folder or without"
    )
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line encrypts the private key",
    )
    parser.set_defaults(run=_keygen, stopped="interrupted")


def _keygen(arguments: argparse.Namespace) -> int:
    from asd_agent.bundle.signature import load_public_key
    from asd_export import keys

    passphrase = keys.read_passphrase(arguments.passphrase_file)
    private, public = keys.make(arguments.name, passphrase)
    key = load_public_key(public)
    guarded = "encrypted" if passphrase else "not encrypted: whoever reads it can sign"
    print(f"""\
key {key.id}
{private}   private, {guarded}.
    Keep it off devices and out of repositories; have one copy in a safe place.
    asd-export sign BUNDLE --key {private}
{public}   public: copy it to every device and name it in its configuration:
    bundle:
      trusted_keys: [/etc/asd/{public.name}]""")
    return 0
