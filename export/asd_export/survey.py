"""Looks at a whole fleet: once, for as long as somebody looks on, or to tidy up."""

import json
from collections.abc import Callable
from typing import Any

from rich.live import Live

from asd_agent.errors import ConfigError
from asd_agent.mqtt.topics import Topics
from asd_export import table
from asd_export.broker import Access
from asd_export.device import Device
from asd_export.fleet import Fleet
from asd_export.link import Link
from asd_export.monitor import Monitor
from asd_export.sender import Sender
from asd_export.tally import utc

TICK_S = 0.5
"""Seconds between two redraws"""

Say = Callable[[str], None]
"""Writes a line: `tell` what was asked for, `say` what is beside it"""


def show(access: Access, tell: Say, say: Say, *, as_json: bool) -> None:
    """Print every device once.

    Raises
    ------
    BrokerError
        The broker cannot be reached, or does not let us look.
    """
    fleet = Fleet(access.config.root)
    monitor = Monitor(access, fleet.hear, say)
    try:
        _follow_all(monitor, fleet)
    finally:
        monitor.close()
    if as_json:
        devices = [table.as_json(device) for device in _known(fleet)]
        tell(_json({"devices": devices, "unreadable": fleet.unreadable}, indent=2))
        return
    table.console().print(table.of_fleet(_known(fleet), utc()))
    if not fleet.devices:
        say(f"no device has ever said that it is there below {fleet.root}/")
    for topic, why in fleet.unreadable.items():
        say(f"{topic} was left out: {why}")


def watch(access: Access, tell: Say, say: Say, *, as_json: bool) -> None:
    """Show every device until somebody ends it: a table, or a line for each change.

    Raises
    ------
    BrokerError
        The broker refuses us.
    """
    fleet = Fleet(access.config.root)
    monitor = Monitor(access, fleet.hear, say)
    console = table.console()
    moving = console.is_terminal and not as_json
    told: dict[str, str] = {}
    try:
        known = _follow_all(monitor, fleet)
        with Live(console=console, auto_refresh=False) if moving else console as live:
            while True:
                if isinstance(live, Live):
                    shown = table.of_fleet(_known(fleet), utc())
                    live.update(shown, refresh=True)
                else:
                    _tell_changes(_known(fleet), told, tell, as_json)
                monitor.pump(TICK_S)
                new = set(fleet.devices) - known
                monitor.listen(fleet.topics(sorted(new), wishes=True, health=True))
                known |= new
    finally:
        monitor.close()


def prune(access: Access, tell: Say, *, dry_run: bool) -> None:
    """Take files off the broker that no device is asked to run.

    Raises
    ------
    BrokerError
        The broker cannot be reached, or refuses something.
    ConfigError
        What a device shall run cannot be read, so its files are not known.
    """
    fleet = Fleet(access.config.root)
    sender = Sender(access, fleet)
    with sender.connected() as link:
        sender.survey(link, (), everyone=True)
        sender.look(link, list(fleet.devices))
        # Also of devices that were asked and never came.
        link.subscribe([Topics(fleet.root, "+").bundle_desired])
        link.settle()
        broken = [topic for topic in fleet.unreadable if topic.endswith("/desired")]
        if broken:
            raise ConfigError(
                f"{broken[0]} cannot be read ({fleet.unreadable[broken[0]]}), so "
                "the files that it needs are not known. Push to that device, then prune"
            )
        sender.shelf.read(link)
        _clear(link, sender, tell, dry_run=dry_run)


def _clear(link: Link, sender: Sender, tell: Say, *, dry_run: bool) -> None:
    devices = sender.fleet.devices.values()
    needed = {name for d in devices if d.wish for name in d.wish.members}
    shelf = sender.shelf
    spare = sorted(shelf.names - needed)
    for name in spare:
        tell(f"{name}  {shelf.found.get(name, 'damaged')}")
    freed = sum(shelf.found.get(name, 0) for name in spare)
    if not dry_run:
        shelf.clear(link, spare)
    did = "would be taken" if dry_run else "taken"
    kept = len(shelf.names) if dry_run else len(shelf.names - set(spare))
    tell(f"{len(spare)} files {did} off, {freed:,} bytes; {kept} are there")


def _follow_all(monitor: Monitor, fleet: Fleet) -> set[str]:
    """Listen to every device that says that it is there; their names."""
    monitor.listen([[fleet.everyone]])
    names = sorted(fleet.devices)
    monitor.listen(fleet.topics(names, wishes=True, health=True))
    return set(names)


def _known(fleet: Fleet) -> list[Device]:
    return [fleet.devices[name] for name in sorted(fleet.devices)]


def _tell_changes(
    devices: list[Device], told: dict[str, str], tell: Say, as_json: bool
) -> None:
    for device in devices:
        row = table.as_json(device)
        text = _json(row | {"seen": None})  # or each health would be a change
        if told.get(device.name) != text:
            told[device.name] = text
            tell(_json(row) if as_json else table.fleet_line(device))


def _json(value: dict[str, Any], indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, allow_nan=False)
