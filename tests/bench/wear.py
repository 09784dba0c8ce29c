"""Bytes that the outbox writes to its medium in a day, as the block device counts them.

An ext4 of its own in a file, the real outbox with its defaults, one source and one
decision a second of a clock that is passed in. After each write the file system writes
out what it puts off, as it does by itself within seconds. Needs root::

    PYTHONPATH=tests python -m bench.wear --hours 24
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from asd_agent.config import OutboxConfig
from asd_agent.mqtt import payloads
from asd_agent.mqtt.disk_outbox import DiskOutbox
from support.broker import wait_for
from support.decisions import ALARM, NORMAL, ORIGIN
from support.loop_disk import LoopDisk
from support.outboxes import Clock

HOUR_S, DAY_S = 3600, 86_400
CHANGES = 100
"""Changes of state that are measured"""
APART_S = 60
"""Seconds from one to the next"""
SCORE = payloads.anomaly(NORMAL, ORIGIN)
ALERT = payloads.anomaly(ALARM, ORIGIN)
DISK_BYTES = 134_217_728


class Bench:
    """An outbox on a disk of its own."""

    def __init__(self, disk: LoopDisk) -> None:
        self.clock = Clock()
        self._disk = disk
        self._config = OutboxConfig()
        self.outbox = DiskOutbox(disk.root / "state", self._config, clock=self.clock)
        self.outbox.start(lambda: None)
        wait_for(lambda: self.outbox._known, "the outbox is open")

    def step(self, *, changed: bool = False, seconds: float = 1.0) -> None:
        """Leave a decision after some seconds, and let everything be written."""
        self.clock.now_s += seconds
        payload = ALERT if changed else SCORE
        self.outbox.put(payload, changed=changed, late=False)
        self._write()

    def acknowledge(self) -> None:
        """Be a broker that takes all there is."""
        while rows := self.outbox.take():
            for row in rows:
                self.outbox.done(row.key)
        self._write()

    def _write(self) -> None:
        """Wait for what is due, and for the file system where something was."""
        queue, outbox = self.outbox._queue, self.outbox
        with outbox._condition:
            due = outbox._is_due(outbox._now_s())
            due = due or any(row.changed for row in queue.unsaved.values())
        if due:
            wait_for(lambda: not queue.unsaved, "it is written")
            self._disk.flush()


def online(bench: Bench, hours: float) -> None:
    """Every score is acknowledged at once."""
    for _ in range(int(hours * HOUR_S)):
        bench.step()
        bench.acknowledge()


def alarms(bench: Bench, _hours: float) -> None:
    """Changes of state that are acknowledged at once."""
    for _ in range(CHANGES):
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


def measure(work: Callable[[Bench, float], None], hours: float) -> int:
    """Bytes that reach the device while some work is done."""
    with (
        tempfile.TemporaryDirectory(prefix="asd-wear-") as folder,
        LoopDisk(Path(folder), DISK_BYTES) as disk,
    ):
        bench = Bench(disk)
        before = disk.written_bytes()
        work(bench, hours)
        written = disk.written_bytes() - before
        bench.outbox.close()
    return written


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hours", type=float, default=24)
    said = parser.parse_args()
    hours = said.hours
    print("case                           written   a day")
    for name, work in (
        ("online", online),
        ("offline", offline),
        ("offline, then sent", drained),
    ):
        written = measure(work, hours)
        print(
            f"{name:25} {written / 1e6:9.2f} MB  {written * 24 / hours / 1e6:.1f} MB",
            flush=True,
        )
    written = measure(alarms, hours)
    print(f"a change of state         {written / CHANGES / 1e3:9.2f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
