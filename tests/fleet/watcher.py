"""Somebody at the broker who sees all that devices tell, and what it amounts to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fleet.processes import PATIENCE_S, Machine
from support.broker import Received, wait_for
from support.close_client import Client
from support.deployed import AUDITOR, Deployed


@dataclass(slots=True)
class Watcher:
    """Somebody who may read everything; misses nothing while the broker restarts."""

    broker: Deployed
    _clients: list[Client] = field(default_factory=list)

    def connect(self) -> None:
        """Begin to watch, or go on with what the broker kept for us."""
        client = self.broker.client(AUDITOR, clean=False)
        if not self._clients:
            client.subscribe("#")
        assert client.resumed is bool(self._clients)
        self._clients.append(client)

    def close(self) -> None:
        """Look away."""
        for client in self._clients:
            client.close()

    @property
    def messages(self) -> list[Received]:
        """All that came, in order."""
        return [got for client in self._clients for got in list(client.messages)]

    @property
    def count(self) -> int:
        """How many messages came."""
        return len(self.messages)

    def of(self, topic: str, since: int = 0) -> list[Received]:
        """What came on a topic, after so many messages."""
        return [got for got in self.messages[since:] if got.topic == topic and got.body]

    def bodies(self, topic: str, since: int = 0) -> list[dict[str, Any]]:
        """What was told on a topic."""
        return [got.json() for got in self.of(topic, since)]

    def decisions(self, machine: Machine, since: int = 0) -> list[dict[str, Any]]:
        """What a device decided, in its own order; of a message that came twice one."""
        came = self.bodies(machine.topics.anomaly, since)
        once = {(one["boot_id"], one["seq"]): one for one in came}
        boots = list(dict.fromkeys(boot for boot, _ in once))
        return sorted(
            once.values(), key=lambda o: (boots.index(o["boot_id"]), o["seq"])
        )

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that a device does."""
        wait_for(condition, what, PATIENCE_S)


def in_row(decisions: list[dict[str, Any]]) -> bool:
    """Whether no decision of one start of an agent is missing."""
    first = decisions[0]
    return [(d["boot_id"], d["seq"]) for d in decisions] == [
        (first["boot_id"], first["seq"] + i) for i in range(len(decisions))
    ]


def gap_s(decisions: list[dict[str, Any]]) -> float:
    """Longest time that lies in no window with a score, in seconds."""
    scored = [d for d in decisions if d["score"] is not None]
    ends = [datetime.fromisoformat(d["ts"].replace("Z", "+00:00")) for d in scored]
    gaps = [
        (end - before).total_seconds() - float(one["window_s"])
        for before, end, one in zip(ends, ends[1:], scored[1:], strict=False)
    ]
    return max(0.0, *gaps)
