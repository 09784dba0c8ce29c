"""Days of sound through the real agent and a real broker, with random faults.

Microphones are pulled out, lose samples, fall silent, stick and clip; machines turn
anomalous; the broker is stopped, frozen and started again. In the end no change of
state may be missing at a subscriber, the ledger must add up to the sample, and the
memory must be flat::

    PYTHONPATH=tests python -m faults.soak --hours 24 --sources 4
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from asd_agent.config_file import load
from asd_agent.health import rss_bytes
from asd_agent.ledger import Ledger
from asd_agent.mqtt.disk_outbox import open_outbox
from asd_agent.mqtt.publisher import Publisher
from faults.soak_sound import RATE_HZ
from support.broker import Mosquitto, wait_for

LEARN_MINUTES = 15.0
LASTING = ("persistence true", "autosave_on_changes true", "autosave_interval 1")
WARM = 0.15
"""Share of the time after which memory must not grow: banks and pools are full then"""
FAULT_S = (15.0, 45.0)
"""Seconds between two faults of the broker"""


class Listener:
    """A subscriber with a session that outlives the broker."""

    def __init__(self, port: int) -> None:
        self.changes: set[tuple[str, str, str]] = set()
        self.messages = 0
        self.coverage: dict[str, Any] = {}
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id="soak",
            clean_session=False,
            protocol=paho.MQTTv311,
        )
        self._client.on_connect = lambda client, *_: client.subscribe("factory/#", 1)
        self._client.on_message = self._keep
        self._client.reconnect_delay_set(1, 2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def stop(self) -> None:
        """Listen no more."""
        self._client.disconnect()
        self._client.loop_stop()

    def _keep(self, _client: Any, _data: Any, message: Any) -> None:
        if message.topic.endswith("/anomaly"):
            body = json.loads(message.payload)
            self.messages += 1
            self.changes.add((body["source"], body["ts"], body["state"]))


@dataclass
class Memory:
    """Memory of the agent against hours of sound."""

    hours: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def slope(self) -> float:
        """MB that 24 hours of sound add, once it is warm."""
        warm = WARM * self.hours[-1]
        kept = [
            (hour, mb)
            for hour, mb in zip(self.hours, self.megabytes, strict=True)
            if hour >= warm
        ]
        hours, megabytes = zip(*kept, strict=True)
        return float(np.polyfit(hours, megabytes, 1)[0] * 24)


class Soak:
    """One run."""

    def __init__(
        self,
        folder: Path,
        hours: float,
        sources: int,
        seed: int,
        learn_minutes: float = LEARN_MINUTES,
    ) -> None:
        self._learn_minutes = learn_minutes
        self._folder = folder
        self._hours = hours
        self._seed = seed
        self._random = random.Random(seed)
        self._names = [f"machine-{i + 1}" for i in range(sources)]
        place = f"persistence_location {folder}/"
        self._broker = Mosquitto(folder, lines=(*LASTING, place))
        self.faults: Counter[str] = Counter()
        self.memory = Memory()
        self.seconds = 0.0

    def run(self) -> dict[str, Any]:
        """Run to the end; returns what was counted."""
        began_s = time.monotonic()
        self._broker.start()
        listener = Listener(self._broker.port)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        with (self._folder / "agent.log").open("wb") as log:
            agent = subprocess.Popen(self._command(), stderr=log, env=environment)
            try:
                self._torment(agent)
            finally:
                agent.kill()
                agent.wait()
        self._drain()
        listener.stop()
        self._broker.stop()
        self.seconds = time.monotonic() - began_s
        return self._count(listener, agent.returncode)

    def _command(self) -> list[str]:
        sources = "".join(
            f"  - {{name: {name}, microphone: soak, "
            f"learn: {{minutes: {self._learn_minutes}, keep_bytes: 0}}}}\n"
            for name in self._names
        )
        config = self._folder / "asd.yaml"
        config.write_text(
            f"device: soak\nstate_dir: {self._folder}/state\n"
            f"mqtt: {{host: 127.0.0.1, port: {self._broker.port}, tls: false}}\n"
            f"sources:\n{sources}"
            "alarm: {per_week: 10, raise: 2 of 3, clear: 0 of 5}\n"
        )
        return [
            *(sys.executable, "-m", "faults.soak_agent", "--config", str(config)),
            *("--hours", str(self._hours), "--seed", str(self._seed)),
            *("--learning-s", str(self._learn_minutes * 60 + 60)),
            *("--folder", str(self._folder)),
        ]

    def _torment(self, agent: subprocess.Popen[bytes]) -> None:
        due_s = time.monotonic() + self._random.uniform(*FAULT_S)
        while agent.poll() is None:
            time.sleep(1.0)
            self._sample(agent.pid)
            if time.monotonic() >= due_s:
                self._fault()
                due_s = time.monotonic() + self._random.uniform(*FAULT_S)

    def _drain(self) -> None:
        """Send what the agent has left on disk, as it would at its next start."""
        config = load(self._folder / "asd.yaml")
        assert config.mqtt is not None
        outbox = open_outbox(config.state_dir, config.mqtt.outbox)
        publisher = Publisher(config.mqtt, config.device, {}, outbox=outbox)
        publisher.start()
        try:
            wait_for(lambda: publisher.connected, "connection", 60)
            time.sleep(2)  # what is on disk is read
            wait_for(lambda: publisher.waiting == 0, "an empty outbox", 60)
        finally:
            publisher.close()
        time.sleep(3)  # what is on its way to the subscriber

    def _sample(self, pid: int) -> None:
        hours = self._heard_s() / 3600
        try:
            megabytes = rss_bytes(Path(f"/proc/{pid}/statm")) / 1e6
        except (OSError, IndexError, ValueError):
            return  # it has just ended
        if (
            megabytes
            and hours
            and (not self.memory.hours or hours > self.memory.hours[-1])
        ):
            self.memory.hours.append(hours)
            self.memory.megabytes.append(megabytes)

    def _heard_s(self) -> float:
        """Seconds of sound of one source, as its log of changes shows."""
        try:
            text = (self._folder / "progress").read_text()
        except OSError:
            return 0.0
        return float(text or 0.0)

    def _fault(self) -> None:
        kind = self._random.choice(["restart", "freeze", "away"])
        self.faults[kind] += 1
        if kind == "freeze":
            process = self._broker._process
            assert process is not None
            process.send_signal(signal.SIGSTOP)
            time.sleep(self._random.uniform(1, 20))
            process.send_signal(signal.SIGCONT)
            return
        self._broker.stop()
        time.sleep(self._random.uniform(0, 1) if kind == "restart" else 15)
        self._broker.start()

    def _count(self, listener: Listener, code: int) -> dict[str, Any]:
        lines = (self._folder / "changes.jsonl").read_text().splitlines()
        told = [json.loads(line) for line in lines]
        changes = {(t["source"], t["ts"], t["state"]) for t in told}
        machines = json.loads((self._folder / "machines.json").read_text())
        ledger = Ledger(self._folder / "state" / "coverage", days=400)
        off: dict[str, int] = {}
        kinds: Counter[str] = Counter()
        for name, given in machines.items():
            days = ledger.newest(name, 400)
            heard_s = sum(day.heard_s for day in days)
            off[name] = round(heard_s * RATE_HZ) - given["samples"] - given["lost"]
            for day in days:
                for kind in ("scored", "learnt", "suspect", "silent", "gap"):
                    kinds[kind] += getattr(day, f"{kind}_s")
        troubles: Counter[str] = Counter()
        for given in machines.values():
            troubles.update(given["troubles"])
        return {
            "exit": code,
            "hours of sound": sum(g["samples"] + g["lost"] for g in machines.values())
            / RATE_HZ
            / 3600,
            "times real time": self._hours * 3600 / self.seconds,
            "faults of the broker": dict(self.faults),
            "troubles of the sound": dict(troubles),
            "messages": listener.messages,
            "changes of state": len(changes),
            "changes lost": len(changes - listener.changes),
            "samples unaccounted": off,
            "seconds": {kind: round(seconds, 1) for kind, seconds in kinds.items()},
            "memory MB": [round(self.memory.megabytes[i]) for i in (0, -1)],
            "memory slope MB a day": round(self.memory.slope(), 2),
        }


def main() -> int:
    """Run one soak and print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of each source")
    parser.add_argument("--sources", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="asd-soak-") as folder:
        soak = Soak(Path(folder), options.hours, options.sources, options.seed)
        found = soak.run()
    for key, value in found.items():
        print(f"{key}: {value}")
    bad = (
        found["exit"]
        or found["changes lost"]
        or any(found["samples unaccounted"].values())
    )
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
