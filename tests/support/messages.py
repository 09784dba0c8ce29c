"""Messages as a device retains them, and a device that they make."""

import json
from typing import Any

from asd_export.device import Device
from asd_export.fleet import Fleet

STATE = {
    "v": 1,
    "device": "press-07",
    "ts": "2026-01-01T12:00:00.000Z",
    "state": "downloading",
    "step": "fetch",
    "reason": None,
    "detail": None,
    "bundle": {"id": "pump-3", "version": 3},
    "running": {"id": "old", "version": 1},
    "bytes": 30,
    "total_bytes": 90,
    "windows": 5,
    "windows_needed": 20,
    "clock_synced": True,
}
INFO = {
    "v": 1,
    "agent": "0.1.0",
    "runtime": "onnxruntime 1.31.1",
    "started": "2026-01-01T11:00:00.000Z",
    "bundle": {"id": "old", "version": 1},
    "groups": ["line-3"],
    "device_class": "pi5",
    "later": "a key of a later agent",
}
ALARM = {
    "ts": "2026-01-01T12:00:00.000Z",
    "state": "anomalous",
    "event_id": "e-1",
    "bundle": {"id": "pump-3", "version": 3},
}


def hear(fleet: Fleet, levels: str, body: object) -> str | None:
    """Let a fleet hear a message of ``press-07``."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fleet.hear(f"factory/press-07/{levels}", raw)


def told(**changes: Any) -> Device:
    """A device that told `INFO`, and `STATE` with changes."""
    fleet = Fleet("factory")
    hear(fleet, "info", INFO)
    hear(fleet, "bundle/state", STATE | changes)
    return fleet["press-07"]
