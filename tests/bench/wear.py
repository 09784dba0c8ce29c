"""Bytes that the outbox writes to its medium in a day, as the block device counts them.

An ext4 of its own in a file, the real outbox with its defaults, one source and one
decision a second of a clock that is passed in. After each commit the file system
writes out what it puts off, as it does by itself within seconds; ``--real-minutes``
checks that against real time. Needs root::

    PYTHONPATH=tests python -m bench.wear --hours 24 --real-minutes 10
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from asd_agent.config import OutboxConfig
from asd_agent.mqtt import payloads
from asd_agent.mqtt.disk_outbox import DiskOutbox
from support.broker import wait_for
from support.decisions import ALARM, NORMAL, ORIGIN
from support.loop_disk import LoopDisk
from support.outboxes import Clock

HOUR_S = 3600
APART_S = 60
"""Seconds from one change of state to the next"""
SCORE = payloads.anomaly(NORMAL, ORIGIN)
ALERT = payloads.anomaly(ALARM, ORIGIN)
DISK_BYTES = 134_217_728


class Bench:
    """An outbox on a disk of its own, in time that passes as fast as it can."""

    def __init__(self, disk: LoopDisk) -> None:
        self.disk = disk
        self.clock = Clock()
        self.outbox = self._open(self.clock)

    def step(self, *, changed: bool = False, seconds: float = 1.0) -> None:
        """Leave a decision after some seconds, and let everything be written."""
        self.clock.now_s += seconds
        self._put(changed=changed)
        if changed or self.outbox._is_due(self.outbox._now_s()):
            wait_for(lambda: not self.outbox._queue.unsaved, "it is written")
            self.disk.flush()

    def acknowledge(self) -> None:
        """Be a broker that takes all there is."""
        while rows := self.outbox.take():
            for row in rows:
                self.outbox.done(row.key)

    def _put(self, *, changed: bool) -> None:
        self.outbox.put(ALERT if changed else SCORE, changed=changed, late=False)

    def _open(self, clock: Callable[[], float]) -> DiskOutbox:
        outbox = DiskOutbox(self.disk.root / "state", OutboxConfig(), clock=clock)
        outbox.start(lambda: None)
        wait_for(lambda: outbox._known, "the outbox is open")
        return outbox


class SlowBench(Bench):
    """One in real time, whose file system is left to itself."""

    def __init__(self, disk: LoopDisk) -> None:
        self.disk = disk
        self.outbox = self._open(time.monotonic)

    def step(self, *, changed: bool = False, seconds: float = 1.0) -> None:
        """Leave a decision after some seconds."""
        time.sleep(seconds)
        self._put(changed=changed)


def online(bench: Bench, hours: float) -> None:
    """Every score is acknowledged at once."""
    for _ in range(int(hours * HOUR_S)):
        bench.step()
        bench.acknowledge()


def alarms(bench: Bench, hours: float) -> None:
    """Only changes of state, a minute apart, that are acknowledged at once."""
    for _ in range(int(hours * HOUR_S / APART_S)):
        bench.step(changed=True, seconds=APART_S)
        bench.acknowledge()


def offline(bench: Bench, hours: float) -> None:
    """No broker is there."""
    for _ in range(int(hours * HOUR_S)):
        bench.step()


def drained(bench: Bench, hours: float) -> None:
    """No broker is there, then one takes all."""
    offline(bench, hours)
    while len(bench.outbox):
        bench.acknowledge()


def measure(
    work: Callable[[Bench, float], None],
    hours: float,
    kind: Callable[[LoopDisk], Bench] = Bench,
) -> int:
    """Bytes that reach the device while some work is done."""
    with (
        tempfile.TemporaryDirectory(prefix="asd-wear-") as folder,
        LoopDisk(Path(folder), DISK_BYTES) as disk,
    ):
        bench = kind(disk)
        before = disk.written_bytes()
        work(bench, hours)
        written = disk.written_bytes() - before
        bench.outbox.close()
    return written


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--real-minutes", type=float, default=0)
    said = parser.parse_args()

    def show(name: str, written: int, hours: float) -> None:
        day = written * 24 / hours / 1e6
        print(
            f"{name:20} {written / 1e6:9.3f} MB in {hours:6.2f} h  {day:8.2f} MB a day"
        )

    show("online", measure(online, said.hours), said.hours)
    show("offline", measure(offline, said.hours), said.hours)
    show("offline, then sent", measure(drained, said.hours), said.hours)
    if said.real_minutes:
        hours = said.real_minutes / 60
        show("offline, real time", measure(offline, hours, SlowBench), hours)
    changes = measure(alarms, 2.0) * APART_S / HOUR_S / 2 / 1e3
    print(f"a change of state    {changes:9.1f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
