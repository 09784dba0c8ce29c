"""Break the microphone of a running agent in every way that a sound server allows.

The whole agent hears a null sink through PortAudio and tells a real broker; each
fault lasts a while and ends. Told are: seconds until the agent says so, seconds from
its end until sound is scored again and until a whole window is judged normal, windows
called normal meanwhile, and what the ledger says::

    PYTHONPATH=tests python -m faults.microphone --seconds 15
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from support.broker import Mosquitto, Subscriber, wait_for
from support.faulty_microphone import FAULTS, Fault, Player, tapes
from support.live import DEVICE, SOURCE, LiveAgent
from support.sound_server import SoundServer, sound_server

DETECT_S, RECOVER_S = 5.0, 10.0
"""Most seconds until a fault is told, and until sound is scored again after it"""
LEARN_MINUTES = 0.4
WELL_S = 90.0
"""Longest wait for a whole normal window"""
EDGE_S = 1.5
"""Around the moment at which a player starts, of which nobody knows what is heard"""
FAULTY = frozenset({"no_signal", "mic_suspect", "fault"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What the agent made of one fault."""

    fault: str
    told: str
    """State and reason that came first"""
    detected_s: float
    """From its beginning until it was told"""
    scored_s: float
    """From its end until sound was scored again"""
    normal_s: float
    """From its end until a whole window was normal"""
    normal: int
    """Decisions that called sound of the fault normal; must be 0"""
    lasted_s: float
    ledger_s: float
    """What the ledger added under the fault's reasons"""
    unaccounted_s: float
    """What the ledger leaves out of the seconds between; near 0"""

    @property
    def good(self) -> bool:
        """Whether all that is promised was kept."""
        quick = self.detected_s <= DETECT_S and self.scored_s <= RECOVER_S
        return quick and self.normal == 0 and self.ledger_right

    @property
    def ledger_right(self) -> bool:
        """Whether the ledger knows how long it was, and counts every second."""
        least = min(self.lasted_s, self.ledger_s + 3.0) if self.ledger_s else 0.0
        return least == self.lasted_s and abs(self.unaccounted_s) < 1.0

    def row(self) -> str:
        """A line of the table."""
        return (
            f"| {self.fault} | {self.told} | {self.detected_s:.1f} | "
            f"{self.scored_s:.1f} | {self.normal_s:.1f} | {self.normal} | "
            f"{self.lasted_s:.1f} | {self.ledger_s:.1f} | {self.unaccounted_s:+.2f} |"
        )


HEAD = """\
| fault | first told | told after s | scored after s | normal after s | \
called normal | lasted s | in the ledger s | unaccounted s |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


class Bench:
    """A running agent with a microphone that can be broken."""

    def __init__(
        self, agent: LiveAgent, server: SoundServer, subscriber: Subscriber
    ) -> None:
        self._agent = agent
        self._server = server
        self._subscriber = subscriber
        self.player: Player

    @property
    def pid(self) -> int:
        """Process of the agent."""
        return self._agent.pid

    def suffer(self, fault: Fault, seconds: float) -> Seen:
        """Let one fault happen, to an agent that is well, and be over."""
        self.wait_well()
        before, told = self._ledger(), len(self.told())
        since_s, since = time.monotonic(), datetime.now(timezone.utc)
        fault.begin(self._server, self.player)
        first = self._wait(told, lambda m: m["state"] in FAULTY)
        detected_s = time.monotonic() - since_s
        time.sleep(max(0.0, seconds - detected_s))
        fault.end(self._server, self.player)
        ended_s, ended = time.monotonic(), datetime.now(timezone.utc)
        if fault.name == "rate switched":
            ended_s, ended = since_s, since
        told_then = told if fault.name == "rate switched" else len(self.told())
        scored = self._wait(
            told_then,
            lambda m: m["score"] is not None and m["reason"] in (None, "gap"),
            after=ended if told_then != told else None,
        )
        scored_s = time.monotonic() - ended_s
        self.wait_well(told=self.told().index(scored))
        normal_s = time.monotonic() - ended_s
        after = self._ledger()
        normal = self._called_normal(told, since, ended)
        gained = {key: after[key] - before.get(key, 0.0) for key in after}
        return Seen(
            fault.name,
            f"`{first['state']}` {first['reason']}",
            detected_s,
            scored_s,
            normal_s,
            normal,
            (ended - since).total_seconds(),
            sum(gained.get(reason, 0.0) for reason in (*fault.reasons, "dropout")),
            after["at_s"] - before["at_s"] - (after["heard"] - before["heard"]),
        )

    def _called_normal(self, told: int, since: datetime, ended: datetime) -> int:
        """Decisions on sound of the fault alone that say that all is well."""
        count = 0
        for message in self.told()[told:]:
            at = datetime.fromisoformat(message["ts"].replace("Z", "+00:00"))
            within = (at - since).total_seconds() > EDGE_S and at <= ended
            count += within and message["state"] == "normal"
        return count

    def told(self) -> list[dict[str, Any]]:
        """Decisions of all sources so far."""
        return [m.json() for m in self._subscriber.of(f"factory/{DEVICE}/anomaly")]

    def wait_well(self, source: str = SOURCE, told: int = 0) -> None:
        """Wait for a whole window of a source that is normal, heard from now on."""

        def well(message: dict[str, Any]) -> bool:
            right = message["source"] == source and not message["gap"]
            return right and message["state"] == "normal"

        self._wait(max(told, len(self.told()) - 1), well, WELL_S)

    def _wait(
        self,
        told: int,
        wanted: Any,
        timeout_s: float = 60.0,
        after: datetime | None = None,
    ) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def came() -> bool:
            for message in self.told()[told:]:
                at = datetime.fromisoformat(message["ts"].replace("Z", "+00:00"))
                if wanted(message) and (after is None or at > after):
                    found.append(message)
                    return True
            time.sleep(0.05)
            return False

        wait_for(came, "a message", timeout_s)
        return found[0]

    def _ledger(self) -> dict[str, float]:
        """Seconds by reason, and in all, in the newest `coverage` message."""
        topic = f"factory/{DEVICE}/{SOURCE}/coverage"
        count = len(self._subscriber.of(topic))
        wait_for(lambda: len(self._subscriber.of(topic)) > count, topic, 30.0)
        payload = self._subscriber.of(topic)[-1].json()
        found: dict[str, float] = {"heard": 0.0}
        at = datetime.fromisoformat(payload["ts"].replace("Z", "+00:00"))
        found["at_s"] = at.timestamp()
        for day in payload["days"]:
            found["heard"] += day["heard_s"]
            parts = ("scored_s", "learnt_s", "suspect_s", "silent_s", "gap_s")
            assert abs(sum(day[part] for part in parts) - day["heard_s"]) < 0.01
            for reason, seconds in day["reasons"].items():
                found[reason] = found.get(reason, 0.0) + seconds
        return found


@contextmanager
def bench(folder: Path, sources: Sequence[str] = (SOURCE,)) -> Iterator[Bench]:
    """Start everything, let the agent learn, and wait until it is well."""
    with (
        sound_server() as server,
        Mosquitto(folder) as broker,
        Subscriber(broker.port, "factory/#") as subscriber,
    ):
        listed = "".join(
            f"  - {{name: {name}, microphone: default, "
            f"learn: {{minutes: {LEARN_MINUTES}}}}}\n"
            for name in sources
        )
        config = f"""\
device: {DEVICE}
state_dir: {folder}/state
mqtt: {{host: 127.0.0.1, port: {broker.port}, tls: false, interval_s: 0.1}}
sources:
{listed}alarm: {{per_week: 0.001, raise: 8 of 8, clear: 0 of 9}}
"""
        agent = LiveAgent(folder, server, subscriber, config, health_s=1.0)
        found = Bench(agent, server, subscriber)
        found.player = Player(server, tapes(folder))
        found.player.play("machine")
        try:
            with agent.running():
                yield found
        finally:
            found.player.stop()


def main() -> int:
    """Print the table; the exit code says whether every promise was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each fault")
    parser.add_argument("--only", help="part of the name of one fault")
    options = parser.parse_args()
    bad = 0
    with (
        tempfile.TemporaryDirectory(prefix="asd-mic-") as folder,
        bench(Path(folder)) as plant,
    ):
        print(HEAD, flush=True)
        for fault in FAULTS:
            if options.only and options.only not in fault.name:
                continue
            seen = plant.suffer(fault, options.seconds)
            print(seen.row(), flush=True)
            bad += not seen.good
    print(json.dumps({"faults": len(FAULTS), "bad": bad}))
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
