"""Where the decisions and the sound of all sources go: broker, clips, ledger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asd_agent.capture.chunk import Block
from asd_agent.clips import Clips
from asd_agent.health import clock_synced
from asd_agent.ledger import Ledger
from asd_agent.mqtt import payloads
from asd_agent.mqtt.clock import Anchor
from asd_agent.mqtt.publisher import Publisher
from asd_agent.scoring.decision import Decision
from asd_agent.worker import Worker


@dataclass(frozen=True, slots=True)
class Outlets:
    """What the workers of one agent tell, each in its own thread."""

    device: str
    boot_id: str
    """One start of the agent"""
    publisher: Publisher | None
    """None: there is no broker"""
    clips: Clips
    ledger: Ledger
    synced: Callable[[], bool] = clock_synced
    clip_of: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """By source: its newest alarm, and the name of the clip of that"""

    def hear(self, source: str, block: Block, rate_hz: int) -> None:
        """Take a block before it is judged."""
        self.clips.hear(source, block, rate_hz)

    def emit(self, worker: Worker, decision: Decision, anchor: Anchor) -> None:
        """Take a decision."""
        name = worker.source.name
        origin = payloads.Origin(
            device=self.device,
            source=name,
            boot_id=self.boot_id,
            anchor=anchor,
            bundle_id=worker.manifest.id,
            bundle_version=worker.manifest.version,
            clock_synced=self.synced(),
        )
        payload = payloads.anomaly(decision, origin)
        if decision.event is not None:
            payload["clip"] = self._clip(worker, payload)
        if self.publisher is None:
            return
        self.publisher.decision(name, payload, decision.changed)
        spectrum = payloads.spectrum(decision, origin)
        if spectrum is not None:
            self.publisher.spectrum(name, spectrum)

    def _clip(self, worker: Worker, payload: Mapping[str, Any]) -> str | None:
        """Name of the clip of an alarm, which is begun with its first decision."""
        source, event = worker.source.name, payload["event_id"]
        known, name = self.clip_of.get(source, ("", None))
        if known != event:
            # Also if the first decision was missed: better late than never.
            name = self.clips.alarm(source, event, payload)
            self.clip_of[source] = event, name
        return name
