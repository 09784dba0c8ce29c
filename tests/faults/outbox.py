"""Kill the agent, its connection and its broker, and count what arrives.

A child process publishes numbered decisions through the real publisher and outbox, by
a proxy, to a real mosquitto that writes down what it has. Whatever the child said to be
on the medium, or to be acknowledged, must arrive::

    PYTHONPATH=tests python -m faults.outbox --minutes 10
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from faults.outbox_child import COMMIT_S, LIVES
from support.broker import Mosquitto
from support.proxy import Proxy

TOPIC = "factory/press-07/anomaly"
UNLIMITED = "max_queued_messages 0"
"""Without it mosquitto drops what a slow subscriber has not read, silently"""
DURABLE = (
    "persistence true",
    "autosave_on_changes true",
    "autosave_interval 1",
    UNLIMITED,
)
"""What makes an acknowledgement of mosquitto worth something"""
KINDS = ("agent killed", "connection reset", "black hole", "broker restarted")
DRAIN_S = 180.0
"""Seconds in which the last life must have sent the rest"""
ARRIVE_S = 5.0
"""Seconds from the broker to the one who counts"""


@dataclass(slots=True)
class Tally:
    """What was produced and what came."""

    faults: Counter[str] = field(default_factory=Counter)
    durable: set[int] = field(default_factory=set)
    """Numbers that a life said to be on the medium"""
    acknowledged: set[int] = field(default_factory=set)
    received: Counter[int] = field(default_factory=Counter)
    order: list[int] = field(default_factory=list)
    """Numbers as they came first"""
    given_up: int = 0

    @property
    def produced(self) -> set[int]:
        """Numbers that must arrive."""
        return self.durable | self.acknowledged

    @property
    def lost(self) -> set[int]:
        """Numbers that did not."""
        return self.produced - set(self.received)

    @property
    def duplicated(self) -> int:
        """Messages that came once more."""
        return self.received.total() - len(self.received)

    @property
    def disordered(self) -> int:
        """Numbers that came after a later one of the same life."""
        newest: Counter[int] = Counter()
        late = 0
        for number in self.order:
            life = number // LIVES
            late += number < newest[life]
            newest[life] = max(number, newest[life])
        return late


class Watcher:
    """Reads all decisions, in a session that outlives the broker."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._tally = tally
        self._granted = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id="watcher",
            clean_session=False,
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
        self._client.on_subscribe = lambda *_: self._granted.set()
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Watcher":
        self._client.loop_start()
        assert self._granted.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _keep(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        _, _, tail = message.payload.rpartition(b'"n":')
        number = int(tail.partition(b",")[0].rstrip(b"}"))
        if number not in self._tally.received:
            self._tally.order.append(number)
        self._tally.received[number] += 1


class Child:
    """Lives of the agent, one after the other, with one state folder."""

    def __init__(self, folder: Path, port: int, tally: Tally) -> None:
        self._folder = folder
        self._port = port
        self._tally = tally
        self._lives = 0

    def start(self, *, rate_hz: float = 20) -> None:
        """Begin a life."""
        self._lives += 1
        words = [sys.executable, "-m", "faults.outbox_child", "--life", self._lives]
        words += ["--port", self._port, "--folder", self._folder, "--rate-hz", rate_hz]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        self._process = subprocess.Popen(
            [str(word) for word in words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """End it as the kernel does."""
        self._process.kill()
        self.wait(10)

    def wait(self, timeout_s: float) -> int:
        """Wait for its end; its return code."""
        code = self._process.wait(timeout_s)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            for line in stream:
                if line.endswith(b"\n"):
                    self._note(line.decode())

    def _note(self, line: str) -> None:
        word, number = line.split()
        if word == "d":
            self._tally.durable.add(int(number))
        elif word == "a":
            self._tally.acknowledged.add(int(number))
        else:
            self._tally.given_up = int(number)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, from and to."""

    pause: tuple[float, float] = (1, 6)
    """Between two faults"""
    dark: tuple[float, float] = (1, 12)
    """Of a black hole; after 7.5 the agent knows that the link is lost"""
    away: tuple[float, float] = (0, 4)
    """Without a broker"""


class Plant:
    """The agent, the network and the broker, and what may happen to them."""

    def __init__(
        self, folder: Path, port: int, tally: Tally, *, draw: random.Random, pace: Pace
    ) -> None:
        self.tally = tally
        self.pace = pace
        self.draw = draw
        self.state = folder / "state"
        self.proxy = Proxy(port)
        self.child = Child(self.state, self.proxy.port, tally)

    def harm(self, kind: str, broker: Mosquitto) -> None:
        """Let one thing happen, and end."""
        self.tally.faults[kind] += 1
        if kind == "agent killed":
            self.child.kill()
            time.sleep(self.draw.uniform(0, 0.5))
            self.child.start()
        elif kind == "connection reset":
            self.proxy.reset()
        elif kind == "black hole":
            self.proxy.darken()
            time.sleep(self.draw.uniform(*self.pace.dark))
            if self.draw.random() < 0.5:
                self.proxy.reset()
            self.proxy.darken(False)
        else:
            broker.stop()
            time.sleep(self.draw.uniform(*self.pace.away))
            broker.start()


def run(
    minutes: float, *, seed: int = 1, pace: Pace | None = None, forget: bool = False
) -> Tally:
    """Let things happen for so long, each kind at least once; wait for the rest.

    Parameters
    ----------
    forget
        Lose the state folder before the last life, to see that this is noticed.
    """
    tally, draw = Tally(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="asd-outbox-") as name:
        folder = Path(name)
        lines = (*DURABLE, f"persistence_location {folder}/")
        broker = Mosquitto(folder, lines=lines)
        plant = Plant(folder, broker.port, tally, draw=draw, pace=pace or Pace())
        with broker, plant.proxy, Watcher(broker.port, tally):
            plant.child.start()
            end_s = time.monotonic() + minutes * 60
            kinds = draw.sample(KINDS, len(KINDS))
            while kinds or time.monotonic() < end_s:
                time.sleep(draw.uniform(*plant.pace.pause))
                plant.harm(kinds.pop() if kinds else draw.choice(KINDS), broker)
            plant.proxy.darken(forget)
            time.sleep(2 * COMMIT_S)
            plant.child.kill()
            plant.proxy.darken(False)
            if forget:
                shutil.rmtree(plant.state)
            plant.child.start(rate_hz=0)
            assert plant.child.wait(DRAIN_S) == 0, "the last life ends"
            end_s = time.monotonic() + ARRIVE_S
            while tally.lost and time.monotonic() < end_s:
                time.sleep(0.1)
    return tally


def main() -> int:
    """Run, print a table, and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    tally = run(said.minutes, seed=said.seed)
    for kind in KINDS:
        print(f"{kind:17}  {tally.faults[kind]:6}")
    print(f"produced           {len(tally.produced):6}")
    print(f"  on the medium    {len(tally.durable):6}")
    print(f"received           {len(tally.received):6}")
    print(f"lost               {len(tally.lost):6}")
    print(f"duplicated         {tally.duplicated:6}")
    print(f"out of order       {tally.disordered:6}")
    print(f"given up           {tally.given_up:6}")
    return 1 if tally.lost or tally.given_up else 0


if __name__ == "__main__":
    sys.exit(main())
