"""What is published of how the agent does: its health, and its coverage."""

from collections.abc import Iterable
from datetime import datetime

from asd_agent.health.snapshot import Snapshot, SourceSnapshot
from asd_agent.health.system import System
from asd_agent.ledger import DayCoverage
from asd_agent.mqtt.clock import rfc3339
from asd_agent.mqtt.payloads import VERSION, Payload, number


def health(device: str, boot_id: str, now: datetime, found: Snapshot) -> Payload:
    """Describe how the agent runs."""
    return {
        "v": VERSION,
        "device": device,
        "boot_id": boot_id,
        "ts": rfc3339(now),
        "uptime_s": number(found.uptime_s),
        "degraded": any(source.degraded for source in found.sources),
        "messages_waiting": found.messages_waiting,
        "messages_dropped": found.messages_dropped,
        "messages_refused": found.messages_refused,
        "messages_undurable": found.messages_undurable,
        "messages_unheard": found.messages_unheard,
        "connections": found.connections,
        "taken_over": found.taken_over,
        "clips_written": found.clips_written,
        "clips_dropped": found.clips_dropped,
        **_system(found.system),
        "sources": [_source(source) for source in found.sources],
    }


def _system(system: System | None) -> Payload:
    disk = system.disk if system else None
    throttling = system.throttling if system else None
    return {
        "clock_synced": bool(system and system.clock_synced),
        "rss_bytes": system.rss_bytes if system else None,
        "children_rss_bytes": system.children_rss_bytes if system else None,
        "cpu_temperature_c": number(system.cpu_temperature_c if system else None, 4),
        "load_1min": number(system.load_1min if system else None, 4),
        "throttling": None
        if throttling is None
        else {
            "now": list(throttling.now),
            "since_boot": list(throttling.since_boot),
        },
        "disk_free_bytes": disk.free_bytes if disk else None,
        "disk_writable": disk.writable if disk else None,
    }


def _source(source: SourceSnapshot) -> Payload:
    return {
        "name": source.name,
        "state": source.state,
        "reason": source.reason or None,
        "sound_age_s": number(source.sound_age_s, 4),
        "level_dbfs": number(source.level_dbfs, 4),
        "hop_s": number(source.hop_s),
        "degraded": source.degraded,
        "load": number(source.load, 4),
        "step_ms": number(None if source.step_s is None else source.step_s * 1e3, 4),
        "windows": source.windows,
        "windows_dropped": source.windows_dropped,
        "lost_samples": source.lost_samples,
        "dropouts": source.overflows,
        "reopened": source.capture_restarts,
    }


def coverage(
    device: str, source: str, now: datetime, days: Iterable[DayCoverage]
) -> Payload:
    """Describe how much of the newest days a source was listened to."""
    return {
        "v": VERSION,
        "device": device,
        "source": source,
        "ts": rfc3339(now),
        "days": [day.record() for day in days],
    }
