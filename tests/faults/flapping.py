"""A day with a broker that is absent, flaps, and is absent again, in some minutes.

A child process leaves as many decisions as a day brings, one a second of a clock that
is passed in, with the real publisher and outbox; the broker is a real one behind a
proxy. Counted are decisions that neither arrived nor were given up, and by how much
the process has grown::

    PYTHONPATH=tests python -m faults.flapping --hours 24
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults.outbox import UNLIMITED, Watcher
from faults.outbox import Tally as Arrivals
from support.broker import Mosquitto
from support.proxy import Proxy

HOUR_S = 3600
FLAP_S = (0.2, 1.5)
"""Real seconds with a broker, and without"""
WARM = 5000
"""Decisions before memory is read for the first time"""
ARRIVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """What the child told once."""

    left: int
    rss_bytes: int
    waiting: int
    given_up: int
    reconnects: int
    undurable: int


@dataclass(slots=True)
class Day:
    """What became of the day."""

    reports: list[Report] = field(default_factory=list)
    arrived: Arrivals = field(default_factory=Arrivals)
    flaps: int = 0

    @property
    def unaccounted(self) -> int:
        """Decisions that neither arrived nor were given up."""
        last = self.reports[-1]
        return last.left - last.given_up - len(self.arrived.received)

    @property
    def readings(self) -> list[int]:
        """Resident bytes of the child, once it has been at work for a while."""
        warm = min(WARM, self.reports[-1].left)
        return [report.rss_bytes for report in self.reports if report.left >= warm]

    @property
    def grown_bytes(self) -> int:
        """Most resident bytes beyond the first reading."""
        return max(self.readings) - self.readings[0]


class Flapper:
    """Lets the broker come and go until it is told to stop."""

    def __init__(self, proxy: Proxy, day: Day) -> None:
        self._proxy = proxy
        self._day = day
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the broker away."""
        self._stop.set()
        self._thread.join(60)
        self._proxy.refuse()

    def _run(self) -> None:
        draw = random.Random(1)
        while not self._stop.is_set():
            self._day.flaps += 1
            self._proxy.refuse(False)
            self._stop.wait(draw.uniform(*FLAP_S))
            self._proxy.refuse()
            self._stop.wait(draw.uniform(*FLAP_S))


def run(hours: float) -> Day:
    """A third of the day without a broker, one with it flapping, one without again."""
    day = Day()
    decisions = int(hours * HOUR_S)
    with tempfile.TemporaryDirectory(prefix="asd-flapping-") as name:
        folder = Path(name)
        with (
            Mosquitto(folder, lines=(UNLIMITED,)) as broker,
            Proxy(broker.port) as proxy,
            Watcher(broker.port, day.arrived),
        ):
            proxy.refuse()
            flapper = Flapper(proxy, day)
            for report in _reports(folder / "state", proxy.port, decisions):
                day.reports.append(report)
                third = report.left * 3 // decisions
                if third == 1 and not day.flaps:
                    flapper.start()
                elif third == 2:
                    flapper.stop()
                elif third == 3:
                    proxy.refuse(False)
            until_s = time.monotonic() + ARRIVE_S
            while day.unaccounted and time.monotonic() < until_s:
                time.sleep(0.1)
    return day


def _reports(state: Path, port: int, decisions: int) -> Iterator[Report]:
    words = [sys.executable, "-m", "faults.flapping_child", "--port", str(port)]
    words += ["--folder", str(state), "--decisions", str(decisions)]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) as child:
        assert child.stdout is not None
        for line in child.stdout:
            yield Report(*map(int, line.split()))
        assert child.wait(10) == 0


def main() -> int:
    """Run, print a table, and return 1 if a decision is not accounted for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24)
    said = parser.parse_args()
    day = run(said.hours)
    last = day.reports[-1]
    print(f"left                 {last.left:7}")
    print(f"received             {len(day.arrived.received):7}")
    print(f"given up             {last.given_up:7}")
    print(f"unaccounted          {day.unaccounted:7}")
    print(f"duplicated           {day.arrived.duplicated:7}")
    print(f"out of order         {day.arrived.disordered:7}")
    print(f"not durable          {last.undurable:7}")
    print(f"most waiting         {max(r.waiting for r in day.reports):7}")
    print(f"broker came and went {day.flaps:7}")
    print(f"connected again      {last.reconnects:7}")
    print(f"grown by             {day.grown_bytes / 1e6:7.2f} MB")
    print(f"  from               {day.readings[0] / 1e6:7.2f} MB")
    return 1 if day.unaccounted else 0


if __name__ == "__main__":
    sys.exit(main())
