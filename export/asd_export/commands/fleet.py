"""The command ``fleet``: list devices, what they run and how they do."""

import argparse

from asd_agent.errors import ConfigError
from asd_export.commands import broker_flags
from asd_export.commands.common import Commands, command, need, say

EXAMPLES = """\
asd-export fleet --broker mqtt.yaml
  asd-export fleet --host broker.factory.local --username fleet \\
    --password-file fleet-password --ca ca.pem --json"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "fleet",
        "list devices, their bundles and how they do",
        "List every device that ever said that it is there, from the messages that "
        "the broker retains.",
        EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--watch", action="store_true", help="go on; with --json a line for each change"
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="take files off the broker that no device is asked to run; reads them all",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --prune: only say which"
    )
    broker_flags.add(parser)
    parser.set_defaults(run=_fleet, stopped="stopped")


def _fleet(arguments: argparse.Namespace) -> int:
    need("rich", extra="fleet")
    from asd_export import survey

    if arguments.prune and (arguments.json or arguments.watch):
        raise ConfigError("--prune goes without --json and --watch")
    if arguments.dry_run and not arguments.prune:
        raise ConfigError("--dry-run goes with --prune: a list changes nothing")
    access = broker_flags.access(arguments)
    if arguments.prune:
        survey.prune(access, _tell, dry_run=arguments.dry_run)
    else:
        look = survey.watch if arguments.watch else survey.show
        look(access, _tell, say, as_json=arguments.json)
    return 0


def _tell(line: str) -> None:
    print(line, flush=True)
