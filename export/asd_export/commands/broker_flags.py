"""Flags that name the broker; `push` and `fleet` share them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asd_export.broker import Access

WORDS = """\
The broker: each of these flags can also be a variable ASD_MQTT_HOST and so on, or a key
in the file of --broker. A password is read from a file, or from ASD_MQTT_PASSWORD."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("broker", WORDS)
    group.add_argument(
        "--broker",
        type=Path,
        metavar="FILE",
        help="YAML with the keys of mqtt in a device's configuration",
    )
    group.add_argument("--host", help="name or address")
    group.add_argument("--port", type=int, help="default: 8883")
    group.add_argument("--root", help="first level of every topic; default: factory")
    group.add_argument("--username")
    group.add_argument(
        "--password-file", type=Path, metavar="FILE", help="its first line is it"
    )
    group.add_argument("--ca", type=Path, metavar="PEM", help="whose brokers to trust")
    group.add_argument("--cert", type=Path, metavar="PEM", help="own certificate")
    group.add_argument("--key", type=Path, metavar="PEM", help="private key of --cert")
    group.add_argument(
        "--insecure",
        action="store_const",
        const=True,
        help="no TLS: anybody on the way can read and write; default port: 1883",
    )


def access(arguments: argparse.Namespace) -> "Access":
    """Put together what flags, environment and file say.

    Raises
    ------
    ConfigError
        No broker is named, or a value is wrong.
    """
    from asd_export.broker import access

    return access(vars(arguments), arguments.broker)
