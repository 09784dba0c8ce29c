"""The command ``push``: bring a bundle to devices, and see what becomes of it."""

import argparse
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asd_agent.config_model import NAME_PATTERN
from asd_agent.errors import ConfigError
from asd_export.commands import broker_flags
from asd_export.commands.common import Commands, command, need

if TYPE_CHECKING:
    from asd_export.push import Order

DEFAULT_RULE = "rolled_back>0 or rejected>0"
"""What ends a rollout in waves where nothing is said"""
EXAMPLES = """\
asd-export push bundles/pump-3 --to press-07 --broker mqtt.yaml --wait
  asd-export push bundles/pump-3 --all --broker mqtt.yaml \\
    --canary 1 --after 24h --abort-if 'rolled_back>0 or alarms>5'

exit codes:
  0   all devices run the bundle; without --wait: all were asked
  2   wrong arguments, or no such device     4  the bundle is broken or not signed
  6   a part of the software is missing      10 the broker cannot be reached or refuses
  11  a device rejected it or rolled it back 12 not all were through within --timeout
  13  --abort-if held, or no canary took it: withdrawn     130 interrupted"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "push",
        "bring a bundle to devices over MQTT",
        "Check a bundle as a device does, publish its files once for the whole fleet, "
        "and ask devices to run it. All is retained: a device that is off gets it when "
        "it returns. The same command again sends only what is missing.",
        EXAMPLES,
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder")
    _add_devices(parser)
    _add_bundle(parser)
    _add_waves(parser)
    broker_flags.add(parser)
    parser.set_defaults(
        run=_push,
        stopped="interrupted; devices go on with what they were asked. The same "
        "command goes on where it was",
    )


def _add_devices(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("devices")
    group.add_argument(
        "--to", type=_names, action="extend", default=[], metavar="NAMES"
    )
    group.add_argument(
        "--group",
        type=_names,
        action="extend",
        default=[],
        metavar="NAMES",
        help="those that tell this group (groups in their configuration)",
    )
    group.add_argument("--all", action="store_true", help="every device ever seen")
    group.add_argument("--dry-run", action="store_true", help="only show the plan")


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("bundle")
    group.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        default=[],
        metavar="PUB",
        help="it must be signed with this public key, or another given so",
    )
    group.add_argument(
        "--allow-unsigned", action="store_true", help="devices must allow it as well"
    )
    group.add_argument(
        "--base-url",
        metavar="URL",
        help="devices fetch the files at URL/<file name>; for files over 32 MiB",
    )
    group.add_argument(
        "--web-ca", type=Path, metavar="PEM", help="authority of that web server"
    )


def _add_waves(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("waiting and waves")
    group.add_argument(
        "--wait", action="store_true", help="show every device until all are through"
    )
    group.add_argument(
        "--timeout",
        type=_read("duration", "parse"),
        default=3600.0,
        metavar="TIME",
        help="for each wave, such as 30s, 15m, 24h, 7d; default: 1h",
    )
    waves = group.add_mutually_exclusive_group()
    waves.add_argument(
        "--canary",
        type=_read("waves", "parse_canary"),
        metavar="N|NAMES",
        help="so many devices first, or these; implies --wait",
    )
    waves.add_argument(
        "--waves",
        type=_read("waves", "parse_waves"),
        metavar="COUNTS",
        help="devices that have it after each wave, such as 1,10,100%%",
    )
    group.add_argument(
        "--after",
        type=_read("duration", "parse"),
        default=0.0,
        metavar="TIME",
        help="run so long well before the next wave; default: 0s",
    )
    group.add_argument(
        "--abort-if",
        type=_read("rule", "parse"),
        metavar="RULE",
        help="end and withdraw when it holds; counts rolled_back, rejected, alarms, "
        f"offline, committed; with waves by default: {DEFAULT_RULE}",
    )


def _push(arguments: argparse.Namespace) -> int:
    need("rich", extra="fleet")
    from asd_export.fleet import Fleet
    from asd_export.push import push
    from asd_export.screen import Screen

    if not (arguments.to or arguments.group or arguments.all):
        raise ConfigError("no devices are named: give --to, --group or --all")
    access = broker_flags.access(arguments)
    fleet = Fleet(access.config.root)
    return push(_order(arguments), access, Screen(fleet), fleet)


def _order(arguments: argparse.Namespace) -> "Order":
    from asd_export import rule
    from asd_export.push import Order
    from asd_export.rollout import Terms

    steps = arguments.canary or arguments.waves
    ends = arguments.abort_if or (rule.parse(DEFAULT_RULE) if steps else None)
    return Order(
        bundle=arguments.bundle,
        terms=Terms(
            after_s=arguments.after,
            rule=ends,
            timeout_s=arguments.timeout,
            wait=arguments.wait or ends is not None,
        ),
        named=tuple(arguments.to),
        groups=tuple(arguments.group),
        everyone=arguments.all,
        steps=steps,
        trusted=tuple(arguments.trusted_key),
        allow_unsigned=arguments.allow_unsigned,
        base_url=arguments.base_url,
        web_ca=arguments.web_ca,
        dry_run=arguments.dry_run,
    )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not re.fullmatch(NAME_PATTERN, name):
            raise argparse.ArgumentTypeError(
                f"{name!r} is no name of a device or group"
            )
    return names


def _read(module: str, function: str) -> Callable[[str], Any]:
    """A reader of a value, whose module is loaded when there is a value."""

    def read(text: str) -> Any:
        reader = getattr(import_module(f"asd_export.{module}"), function)
        try:
            return reader(text)
        except (ValueError, ConfigError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
