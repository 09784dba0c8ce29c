"""Tables of devices for a terminal; also as plain lines and as JSON."""

import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from asd_export import duration
from asd_export.device import Device, Phase
from asd_export.plan import Row
from asd_export.tally import Tally

FILE_COLUMNS = 240
"""Characters in a line where nobody looks on"""
COLOURS: dict[Phase, str] = {
    "unknown": "dim",
    "waiting": "dim",
    "downloading": "cyan",
    "verifying": "cyan",
    "testing": "cyan",
    "trial": "yellow",
    "committed": "green",
    "rejected": "red",
    "rolled_back": "red",
}


def console(out: TextIO | None = None) -> Console:
    """Where tables go; what is no terminal is as wide as they are."""
    found = Console(file=out or sys.stdout, highlight=False)
    if not found.is_terminal:
        found.width = FILE_COLUMNS
    return found


def of_plan(rows: Iterable[Row]) -> Table:
    """What is going to be done with each device."""
    table = _table("device", "what", "why")
    for row in rows:
        table.add_row(Text(row.name), Text(row.action), Text(row.why))
    return table


def of_rollout(tally: Tally, devices: Iterable[Device], title: str) -> Table:
    """How far each device is with the bundle that it was asked to run."""
    table = _table("device", "is", "state", "step", "%", "runs", "reason")
    table.caption = Text(title) if title else None
    for device in devices:
        phase = tally.phase(device.name)
        report = tally.report(device.name)
        percent = report.percent if report else None
        table.add_row(
            Text(device.name),
            _presence(device),
            Text(phase, COLOURS[phase]),
            Text(report.step if report else ""),
            Text("" if percent is None else str(percent)),
            Text(str(device.running or "")),
            Text((report.reason or "") if report else ""),
        )
    return table


def of_fleet(devices: Iterable[Device], now: datetime) -> Table:
    """Everything that devices tell."""
    table = _table(
        *("device", "groups", "is", "seen", "agent", "runtime"),
        *("runs", "shall run", "state", "alarms"),
    )
    for device in devices:
        row = as_json(device)
        seen = device.seen
        ago = duration.shown((now - seen).total_seconds()) if seen else "never"
        state = Text(row["state"] or "", COLOURS.get(row["state"], ""))
        if row["reason"]:
            state.append(f" ({row['reason']})")
        table.add_row(
            Text(device.name),
            Text(", ".join(row["groups"])),
            _presence(device),
            Text(ago),
            Text(row["agent"] or ""),
            Text(row["runtime"] or ""),
            Text(str(device.running or "")),
            Text(device.wish.id if device.wish else ""),
            state,
            Text(str(device.alarms), "red" if device.alarms else ""),
        )
    return table


def as_json(device: Device) -> dict[str, Any]:
    """Everything that a device tells, for programs."""
    info, progress, wish, running = (
        device.info,
        device.progress,
        device.wish,
        device.running,
    )
    return {
        "device": device.name,
        "groups": list(info.groups) if info else [],
        "device_class": info.device_class if info else None,
        "online": device.online,
        "seen": device.seen.isoformat() if device.seen else None,
        "agent": info.agent if info else None,
        "runtime": info.runtime if info else None,
        "running": running.model_dump() if running else None,
        "desired": {"id": wish.id, "version": wish.version} if wish else None,
        "bundle": progress.bundle.model_dump()
        if progress and progress.bundle
        else None,
        "state": progress.state if progress else None,
        "step": progress.step if progress else None,
        "reason": progress.reason if progress else None,
        "detail": progress.detail if progress else None,
        "alarms": sorted(
            name
            for name, source in device.sources.items()
            if source.state == "anomalous"
        ),
    }


def line(tally: Tally, device: Device) -> str:
    """How far a device is, in a line for a log."""
    report = tally.report(device.name)
    parts = [device.name, str(_presence(device)), tally.phase(device.name)]
    if report:
        parts.append(report.step)
        parts += [report.reason] if report.reason else []
        parts += [f"({report.detail})"] if report.detail else []
    parts.append(f"runs {device.running}" if device.running else "runs an unknown one")
    return " ".join(parts)


def fleet_line(device: Device) -> str:
    """Everything that a device tells, in a line for a log."""
    row = as_json(device)
    parts = [device.name, str(_presence(device)), f"runs {device.running or 'unknown'}"]
    parts += [f"shall run {device.wish.id}"] if device.wish else []
    parts += [row["state"]] if row["state"] else []
    parts += [f"({row['reason']})"] if row["reason"] else []
    parts += [f"alarms: {', '.join(row['alarms'])}"] if row["alarms"] else []
    return " ".join(parts)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, caption_justify="left")
    for head in heads:
        table.add_column(head, no_wrap=head == "device")
    return table


def _presence(device: Device) -> Text:
    if device.online is None:
        return Text("unknown", "dim")
    return Text("online", "green") if device.online else Text("offline", "red")
