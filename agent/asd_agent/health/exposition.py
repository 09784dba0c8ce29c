"""A snapshot as Prometheus reads it. docs/metrics.md lists the same names.

Only who shows figures imports this: the client library costs memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from asd_agent.health.heat import KINDS
from asd_agent.health.snapshot import Snapshot

__all__ = ["CONTENT_TYPE_LATEST", "page"]

_Family = CounterMetricFamily | GaugeMetricFamily
STATES = ("learning", "normal", "anomalous", "no_signal", "mic_suspect", "fault")
"""Words of the MQTT contract for the state of a source"""
_SOURCE = {
    "asd_source_score": ("score", "Score of the newest window"),
    "asd_source_p_value": ("p_value", "p-value of the newest window"),
    "asd_source_level_dbfs": ("level_dbfs", "Level of the sound"),
    "asd_source_sound_age_seconds": ("sound_age_s", "Age of the last sound"),
    "asd_source_step_seconds": ("step_s", "Time the last decision took"),
    "asd_source_hop_seconds": ("hop_s", "Sound between two decisions"),
    "asd_source_load_ratio": ("load", "Seconds of work for a second of sound"),
    "asd_source_degraded": ("degraded", "Whether less is heard than should be"),
    "asd_source_windows_total": ("windows", "Windows scored"),
    "asd_source_windows_dropped_total": (
        "windows_dropped",
        "Windows left out because the device is too slow",
    ),
    "asd_source_heard_seconds_total": ("heard_s", "Sum of the five that follow"),
    "asd_source_scored_seconds_total": ("scored_s", "Sound that was scored"),
    "asd_source_learnt_seconds_total": ("learnt_s", "Sound that was learnt from"),
    "asd_source_suspect_seconds_total": (
        "suspect_s",
        "Time in which the microphone was not believed",
    ),
    "asd_source_gap_seconds_total": (
        "gap_s",
        "Sound that was lost, or lies too near to that",
    ),
    "asd_source_silent_seconds_total": ("silent_s", "Time without a signal"),
    "asd_source_lost_samples_total": (
        "lost_samples",
        "Samples left out because the device is too slow",
    ),
    "asd_source_overflows_total": ("overflows", "Times that the device lost samples"),
    "asd_source_capture_restarts_total": (
        "capture_restarts",
        "Times that the device had to be opened again",
    ),
}
"""Metrics of a source: where the number stands in its snapshot, and what it is"""
_AGENT = {
    "asd_agent_uptime_seconds": ("uptime_s", "Time since the agent was started"),
    "asd_mqtt_connected": ("connected", "Whether the broker has accepted us"),
    "asd_mqtt_reconnects_total": (
        "connections",
        "Times that the broker has accepted us again",
    ),
    "asd_mqtt_takeovers_total": (
        "taken_over",
        "Times that another client of our name took our place",
    ),
    "asd_mqtt_messages_waiting": (
        "messages_waiting",
        "Messages that the broker has not acknowledged",
    ),
    "asd_mqtt_messages_dropped_total": ("messages_dropped", "Messages given up"),
    "asd_mqtt_messages_refused_total": (
        "messages_refused",
        "Messages that the broker did not take",
    ),
    "asd_mqtt_messages_undurable_total": (
        "messages_undurable",
        "Changes of state that were sent before a disk held them",
    ),
    "asd_mqtt_messages_unheard_total": (
        "messages_unheard",
        "Messages that nobody had subscribed to",
    ),
    "asd_clips_written_total": ("clips_written", "Clips kept"),
    "asd_clips_dropped_total": ("clips_dropped", "Alarms without a clip"),
    "asd_clips_bytes": ("clips_bytes", "Room that clips take"),
    "asd_agent_resident_memory_bytes": ("system.rss_bytes", "Memory of the agent"),
    "asd_agent_children_resident_memory_bytes": (
        "system.children_rss_bytes",
        "Memory of the processes that the agent started",
    ),
    "asd_cpu_temperature_celsius": (
        "system.cpu_temperature_c",
        "Hottest part of the processor",
    ),
    "asd_disk_free_bytes": ("system.disk.free_bytes", "Room for the state"),
    "asd_disk_size_bytes": ("system.disk.total_bytes", "Size of that disk"),
    "asd_disk_writable": ("system.disk.writable", "Whether it takes writes"),
    "asd_clock_synced": ("system.clock_synced", "Whether a time server set the clock"),
    "asd_machine_uptime_seconds": (
        "system.uptime_s",
        "Time since the machine was started",
    ),
    "asd_machine_load1": ("system.load_1min", "Load, mean of a minute"),
    "asd_machine_cpus": ("system.cpu_count", "Processors to use"),
}
"""Metrics of the agent and its machine; with dots where the number lies within"""


def page(snapshot: Snapshot) -> bytes:
    """Write all that is known in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)


class _Collector(Collector):
    """Gives the families of one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """Families in which there is a number."""
        return (family for family in _families(self._snapshot) if family.samples)

    def describe(self) -> Iterable[Metric]:
        """Nothing: there is no other collector whose names could be the same."""
        return ()


def _families(snapshot: Snapshot) -> Iterator[Metric]:
    yield _info("asd_agent", "Version of the agent", {"version": snapshot.version})
    if snapshot.bundle_id is not None:
        version = str(snapshot.bundle_version)
        labels = {"id": snapshot.bundle_id, "version": version}
        yield _info("asd_bundle", "Bundle that decides", labels)
    for name, (field, text) in _AGENT.items():
        family = _family(name, text)
        _add(family, (), _find(snapshot, field))
        yield family
    yield from _throttling(snapshot)
    yield _states(snapshot)
    yield _reasons(snapshot)
    for name, (field, text) in _SOURCE.items():
        family = _family(name, text, ("source",))
        for source in snapshot.sources:
            _add(family, (source.name,), _find(source, field))
        yield family


def _family(name: str, text: str, labels: Sequence[str] = ()) -> _Family:
    """An empty metric: what counts ends with ``_total``."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(name, text, labels=labels)


def _info(name: str, text: str, labels: dict[str, str]) -> Metric:
    family = GaugeMetricFamily(f"{name}_info", text, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), 1)
    return family


def _throttling(snapshot: Snapshot) -> Iterator[Metric]:
    told = snapshot.system.throttling if snapshot.system else None
    if told is None:
        return
    now = "Whether this slows the processor"
    since = "Whether this has slowed the processor since the machine was started"
    for name, text, kinds in (
        ("asd_throttled", now, told.now),
        ("asd_throttled_since_boot", since, told.since_boot),
    ):
        family = GaugeMetricFamily(name, text, labels=("kind",))
        for kind in KINDS:
            family.add_metric((kind,), kind in kinds)
        yield family


def _states(snapshot: Snapshot) -> Metric:
    text = "1 in the state that a source is in, 0 in all others"
    family = GaugeMetricFamily("asd_source_state", text, labels=("source", "state"))
    for source in snapshot.sources:
        # A word that is not known yet is shown all the same.
        for state in dict.fromkeys((*STATES, source.state)):
            family.add_metric((source.name, state), state == source.state)
    return family


def _reasons(snapshot: Snapshot) -> Metric:
    text = "Why the microphone is not believed; none: it is"
    family = GaugeMetricFamily("asd_source_reason", text, labels=("source", "reason"))
    for source in snapshot.sources:
        if source.reason:
            family.add_metric((source.name, source.reason), 1)
    return family


def _find(holder: Any, field: str) -> float | None:
    """Follow the dots; None where something on the way is."""
    for name in field.split("."):
        if holder is None:
            return None
        holder = getattr(holder, name)
    return None if holder is None else float(holder)


def _add(family: _Family, labels: Sequence[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)
