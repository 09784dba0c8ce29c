"""What is published, as dictionaries with frozen field names.

The JSON Schemas in docs/mqtt/ are the contract; `VERSION` rises when a field
changes its meaning or goes. Nothing here names a file, a host or a secret.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from asd_agent.mqtt.clock import Anchor, rfc3339
from asd_agent.scoring.decision import Decision, Event
from asd_agent.update.report import Report

VERSION = 1
ONLINE = "online"
OFFLINE = "offline"
MAX_DETAIL = 200
"""Characters of the sentence that says how an update is doing"""

Payload = dict[str, Any]
_ADDRESS = re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b|::|\[[0-9a-fA-F:]+\]|[\w-]:\d{2,5}\b")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a decision comes from."""

    device: str
    source: str
    boot_id: str
    """One start of the agent: sample counters and `seq` begin anew with it"""
    anchor: Anchor
    """Ties the decision's sample counter to the wall clock"""
    bundle_id: str
    bundle_version: int
    clock_synced: bool
    """Whether the wall clock was set by a time server"""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """One source as `info` describes it."""

    name: str
    input: Literal["microphone", "recording"]
    rate_hz: int
    """Hertz at which it is analysed"""


def anomaly(decision: Decision, origin: Origin) -> Payload:
    """Describe one decision.

    `seq` and `replayed` are those of a message that is sent at once and first;
    the publisher sets them when it sends.
    """
    event = decision.event
    payload: Payload = {
        "v": VERSION,
        "device": origin.device,
        "source": origin.source,
        "seq": 0,
        "boot_id": origin.boot_id,
        "ts": rfc3339(origin.anchor.at(decision.end_sample)),
        "window_s": number(decision.window_samples / origin.anchor.rate_hz),
        "score": number(decision.score),
        "threshold": number(decision.threshold),
        "p_value": number(decision.p_value),
        "state": decision.state.value,
        "reason": decision.reason or None,
        "event_id": _event_id(event, origin) if event else None,
        "level_dbfs": number(decision.level_dbfs, 4),
        "gap": decision.gap,
        "clock_synced": origin.clock_synced,
        "replayed": False,
        "bundle": {"id": origin.bundle_id, "version": origin.bundle_version},
    }
    return payload | (_alarm(event, origin) if event else {})


def state(anomaly: Mapping[str, Any]) -> Payload:
    """Reduce a decision that changed the state to what a late subscriber needs."""
    kept = ("v", "device", "source", "boot_id", "ts", "state", "reason", "event_id")
    numbers = ("score", "threshold", "p_value")
    return {key: anomaly[key] for key in (*kept, *numbers, "clock_synced", "bundle")}


def spectrum(decision: Decision, origin: Origin) -> Payload | None:
    """Describe how the newest unit sounds; None where it cannot be scored."""
    shape = decision.spectrum
    if shape is None:
        return None
    return {
        "v": VERSION,
        "device": origin.device,
        "source": origin.source,
        "ts": rfc3339(origin.anchor.at(decision.end_sample)),
        "lo_hz": list(shape.lo_hz),
        "hi_hz": list(shape.hi_hz),
        "level_db": [
            round(level, 1) if math.isfinite(level) else None
            for level in shape.level_db
        ],
    }


def info(
    device: str,
    boot_id: str,
    *,
    version: str,
    started: datetime,
    bundle_id: str,
    bundle_version: int,
    runtime: str,
    device_class: str,
    groups: Sequence[str],
    sources: Iterable[SourceInfo],
) -> Payload:
    """Describe what runs: `version` of the agent, `runtime` of the network."""
    return {
        "v": VERSION,
        "device": device,
        "boot_id": boot_id,
        "started": rfc3339(started),
        "agent": version,
        "runtime": runtime,
        "device_class": device_class,
        "groups": list(groups),
        "bundle": {"id": bundle_id, "version": bundle_version},
        "sources": [asdict(source) for source in sources],
    }


def bundle_state(
    report: Report,
    device: str,
    *,
    now: datetime,
    running: tuple[str, int],
    clock_synced: bool,
) -> Payload:
    """Describe how an update does; `running` is the bundle that decides now."""
    return {
        "v": VERSION,
        "device": device,
        "ts": rfc3339(now),
        "state": report.state,
        "step": report.step,
        "reason": report.reason,
        "detail": None if report.detail is None else sayable(report.detail),
        "bundle": _bundle(report.id, report.version) if report.id else None,
        "running": _bundle(*running),
        "bytes": report.bytes,
        "total_bytes": report.total or None,
        "windows": report.windows,
        "windows_needed": report.needed,
        "clock_synced": clock_synced,
    }


def sayable(text: str) -> str:
    """Take out of a sentence what shall not leave the device.

    Of a path its last part is left, of an address nothing: texts of errors were
    written for the log of the device.
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    words = [_sayable_word(word) for word in printable.split()]
    said = " ".join(word for word in words if word)
    return said if len(said) <= MAX_DETAIL else f"{said[: MAX_DETAIL - 3]}..."


def _sayable_word(word: str) -> str:
    if "://" in word or "@" in word or _ADDRESS.search(word):
        return "..."
    return re.split(r"[/\\]", word.rstrip("/\\"))[-1]


def _bundle(name: str, version: int) -> Payload:
    return {"id": name, "version": version}


def encode(payload: Mapping[str, Any]) -> bytes:
    """Write compact JSON; NaN and Infinity, which JSON has not, are refused."""
    text = json.dumps(payload, allow_nan=False, separators=(",", ":"))
    return text.encode()


def _event_id(event: Event, origin: Origin) -> str:
    return f"{origin.boot_id[:8]}-{origin.source}-{event.since_sample}"


def _alarm(event: Event, origin: Origin) -> Payload:
    why = event.explanation
    return {
        "since": rfc3339(origin.anchor.at(event.since_sample)),
        "score_max": number(event.score_max),
        "bands": [
            {
                "lo_hz": number(band.lo_hz, 6),
                "hi_hz": number(band.hi_hz, 6),
                "delta_db": number(band.delta_db, 4),
            }
            for band in why.bands
        ],
        "nearest_normal": {
            "id": why.nearest_id,
            "distance": number(why.nearest_distance),
        },
        "clip": None,
    }


def number(value: float | None, digits: int = 7) -> float | None:
    """Keep so many significant digits; None for what is not a finite number."""
    if value is None:
        return None
    kept = float(f"{value:.{digits}g}")
    return kept if math.isfinite(kept) else None
