"""A push from its plan to its end: who, what, in which waves, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import ConfigError
from asd_export import keys, release, table, waves, web
from asd_export.broker import Access
from asd_export.device import DONE
from asd_export.fleet import Fleet
from asd_export.monitor import Monitor
from asd_export.plan import Row, choose, plan
from asd_export.rollout import Outcome, Rollout, Terms, Wave, shown
from asd_export.screen import Screen
from asd_export.sender import Cargo, Sender


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a push."""

    bundle: Path
    """Folder"""
    terms: Terms
    named: tuple[str, ...] = ()
    """Devices"""
    groups: tuple[str, ...] = ()
    """Groups of devices"""
    everyone: bool = False
    """Every device that was ever seen"""
    steps: waves.Steps | None = None
    """None: all at once"""
    trusted: tuple[Path, ...] = ()
    """Public keys, of which one must have signed it; empty: whoever did"""
    allow_unsigned: bool = False
    base_url: str | None = None
    """Where devices fetch the files; None: from the broker"""
    web_ca: Path | None = None
    """Authority of that web server; None: those of the system"""
    dry_run: bool = False
    """Only say what would be done"""


def push(order: Order, access: Access, screen: Screen, fleet: Fleet) -> Outcome:
    """Carry an order out.

    Raises
    ------
    BundleError
        Devices would refuse the bundle.
    BrokerError
        The broker cannot be reached, or refuses something.
    ConfigError
        No device is meant, or none that the bundle fits.
    """
    cargo = _cargo(order, screen)
    sender = Sender(access, fleet)
    rows = _plan(order, cargo, sender)
    screen.print(table.of_plan(rows))
    planned = _waves(order, cargo, rows, fleet)
    lacking = sender.lacking(cargo)
    screen.say(
        f"{len(lacking)} of {len(cargo.release.members)} files have to go to the "
        f"broker, {sum(entry.bytes for entry in lacking.values()):,} bytes"
        if not cargo.base_url
        else f"devices fetch the files at {cargo.base_url}"
    )
    if order.dry_run:
        for i, wave in enumerate(planned):
            screen.say(f"wave {i + 1} of {len(planned)}: {', '.join(wave.names)}")
        screen.say("nothing was sent: --dry-run")
        return Outcome.DONE
    rollout = Rollout(
        sender,
        cargo,
        order.terms,
        screen,
        lambda: Monitor(access, fleet.hear, screen.say),
    )
    try:
        outcome = rollout.run(planned)
    finally:
        screen.close()
    _conclude(rollout, outcome, order, screen)
    return outcome


def _cargo(order: Order, screen: Screen) -> Cargo:
    """Check the bundle, and that its files can travel."""
    found = release.check(
        order.bundle,
        keys.public_keys(order.trusted),
        allow_unsigned=order.allow_unsigned,
    )
    signer = f"signed by {found.key}"
    if not found.signature:
        signer = "NOT SIGNED: devices take it only with allow_unsigned: true"
    elif not found.key:
        signer = "signed, by whom was not checked: --trusted-key does"
    manifest = found.manifest
    screen.say(
        f"{manifest.id}, version {manifest.version}, for {manifest.device_class}; "
        f"{signer}"
    )
    if order.base_url:
        web.check(order.base_url, found.members, order.web_ca)
    else:
        release.check_sizes(found)
    return Cargo(found, order.base_url)


def _plan(order: Order, cargo: Cargo, sender: Sender) -> tuple[Row, ...]:
    """Ask the broker about devices and files."""
    wide = order.everyone or bool(order.groups)
    with sender.connected() as link:
        sender.survey(link, order.named, everyone=wide)
        names = choose(sender.fleet, order.named, order.groups, everyone=order.everyone)
        sender.look(link, names)
        sender.look_for_files(link, cargo)
    devices = [sender.fleet[name] for name in names]
    return plan(devices, cargo.release.manifest, cargo.wish)


def _waves(
    order: Order, cargo: Cargo, rows: Sequence[Row], fleet: Fleet
) -> tuple[Wave, ...]:
    names = [row.name for row in rows if row.action != "unfit"]
    if not names:
        raise ConfigError(
            f"{cargo.id} is for devices of class "
            f"{cargo.release.manifest.device_class}: none of these is"
        )
    devices = [fleet[name] for name in names]
    steps = order.steps or waves.Steps()
    send = {row.name for row in rows if row.action == "send"}
    return tuple(
        Wave(wave, frozenset(wave) & send)
        for wave in waves.split(devices, cargo.id, steps)
    )


def _conclude(rollout: Rollout, outcome: Outcome, order: Order, screen: Screen) -> None:
    """Say how it ended and what can be done."""
    tally = rollout.tally
    phases = {name: tally.phase(name) for name in tally.names}
    bad = [name for name, phase in phases.items() if phase in DONE - {"committed"}]
    late = [name for name, phase in phases.items() if phase not in DONE]
    if bad:
        screen.say(f"not taken by {shown(bad)}: docs/fleet.md tells what reasons mean")
    if outcome is Outcome.LATE:
        screen.say(
            f"not through in time: {shown(late)}. They stay asked and go on by "
            "themselves; the same command watches again, asd-export fleet looks"
        )
    elif outcome is not Outcome.STOPPED and late:
        screen.say("asd-export fleet shows how far they are; --wait waits for them")
    if outcome is Outcome.DONE and order.terms.wait:
        screen.say(f"{len(phases)} of {len(phases)} devices run it")
