"""Fill the outbox, and take its disk away in many ways, while nobody listens.

Decisions are left with the real publisher without a broker, then a real one comes: each
must arrive or be counted as given up, and nobody who leaves one may be held up. Needs
root::

    PYTHONPATH=tests python -m faults.outbox_full --decisions 20000
"""

import argparse
import contextlib
import logging
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asd_agent.config import OutboxConfig
from asd_agent.mqtt import payloads
from asd_agent.mqtt.disk_outbox import DiskOutbox
from asd_agent.mqtt.medium import RETRY_S
from asd_agent.mqtt.publisher import Publisher
from faults.outbox import UNLIMITED
from support.broker import Mosquitto, Subscriber, wait_for
from support.decisions import NORMAL, ORIGIN
from support.loop_disk import LoopDisk
from support.outboxes import Jumping
from support.publishers import plain

TOPIC = "factory/press-07/anomaly"
SCORE = payloads.anomaly(NORMAL, ORIGIN)
CHANGES = 20
"""One in so many decisions is a change of state"""
INTERVAL_S = 0.1
BURST = 20
"""Decisions that are left at once, so that the disk can follow in between"""
PAUSE_S = 0.01
SMALL_DISK = 4_000_000
DRAIN_S = 120.0
LARGE = 67_108_864


@dataclass(frozen=True, slots=True)
class Row:
    """What became of the decisions of one case."""

    case: str
    left: int
    received: int
    given_up: int
    """As the publisher says"""
    changes_lost: int
    longest_ms: float
    """That somebody who left a decision was held up"""
    noise_ms: float
    """The same of one who only wrote it as JSON: what this machine does to anybody"""
    undurable: int

    @property
    def unaccounted(self) -> int:
        """Decisions that were neither received nor counted."""
        return self.left - self.received - self.given_up


class Trial:
    """A publisher without a broker, until `deliver`."""

    def __init__(self, folder: Path, state: Path, max_bytes: int) -> None:
        self.clock = Jumping()
        self.longest_s = 0.0
        self.noise_s = 0.0
        self.changes: set[int] = set()
        self.left = 0
        self._broker = Mosquitto(folder, lines=(UNLIMITED,))
        self._heard = threading.Event()
        config = plain(self._broker.port, interval_s=INTERVAL_S)
        limits = OutboxConfig.model_validate({"max_bytes": max_bytes, "commit_s": 0.5})
        self.publisher = Publisher(
            config,
            "press-07",
            {"v": 1},
            outbox=DiskOutbox(state, limits, clock=self.clock),
            clock=self.clock,
            uniform=self._pause,
        )
        self.publisher.start()

    def leave(self, count: int) -> None:
        """Leave so many decisions."""
        for _ in range(count):
            self.left += 1
            changed = self.left % CHANGES == 0
            if changed:
                self.changes.add(self.left)
            payload = SCORE | {"n": self.left}
            began_s = time.perf_counter()
            payloads.encode(payload)
            middle_s = time.perf_counter()
            self.publisher.decision("gearbox", payload, changed)
            ended_s = time.perf_counter()
            self.noise_s = max(self.noise_s, middle_s - began_s)
            self.longest_s = max(self.longest_s, ended_s - middle_s)
            self.clock.jump(2 * INTERVAL_S)
            if self.left % BURST == 0:
                time.sleep(PAUSE_S)

    def retry(self) -> None:
        """Let the minute pass after which a disk is tried again."""
        self.clock.jump(RETRY_S)
        self.leave(CHANGES)
        time.sleep(0.5)

    def _pause(self, _low: float, high: float) -> float:
        # The broker would throw away what comes before somebody listens.
        self._heard.wait(DRAIN_S)
        return min(high, 0.1)

    def deliver(self, case: str) -> Row:
        """Let a broker come and count what it gets."""
        publisher = self.publisher
        with self._broker, Subscriber(self._broker.port, TOPIC) as seen:
            self._heard.set()
            wait_for(lambda: not publisher.waiting, "all acknowledged", DRAIN_S)
            wanted = self.left - publisher.dropped
            with contextlib.suppress(AssertionError):
                wait_for(lambda: len(_numbers(seen)) >= wanted, "they arrive")
            arrived = _numbers(seen)
            publisher.close()
        return Row(
            case,
            self.left,
            len(arrived),
            publisher.dropped,
            len(self.changes - arrived),
            self.longest_s * 1000,
            self.noise_s * 1000,
            publisher.undurable,
        )


def _numbers(seen: Subscriber) -> set[int]:
    return {message.json()["n"] for message in seen.messages}


def small_limit(folder: Path, count: int) -> Row:
    """The outbox may have a mebibyte."""
    trial = Trial(folder, folder / "state", 1_048_576)
    trial.leave(count)
    return trial.deliver("max_bytes 1 MiB")


def small_disk(folder: Path, count: int) -> Row:
    """The outbox may have more than its disk has."""
    with LoopDisk(folder, SMALL_DISK) as disk:
        trial = Trial(folder, disk.root / "state", LARGE)
        trial.leave(count)
        return trial.deliver("disk of 4 MB")


def others_fill_it(folder: Path, count: int) -> Row:
    """Somebody else takes the last byte, and gives it back."""
    with LoopDisk(folder, SMALL_DISK) as disk:
        trial = Trial(folder, disk.root / "state", LARGE)
        trial.leave(count // 3)
        filler = disk.fill()
        trial.leave(count // 3)
        filler.unlink()
        trial.retry()
        trial.leave(count // 3)
        return trial.deliver("filled by others")


def read_only(folder: Path, count: int) -> Row:
    """The disk cannot be written at the start, and later it can."""
    with LoopDisk(folder, SMALL_DISK) as disk:
        disk.remount("ro")
        trial = Trial(folder, disk.root / "state", LARGE)
        trial.leave(count // 2)
        disk.remount("rw")
        trial.retry()
        trial.leave(count // 2)
        return trial.deliver("read-only at first")


def stuck(folder: Path, count: int) -> Row:
    """The disk hangs: who writes waits, for longer than it is waited for."""
    with LoopDisk(folder, SMALL_DISK) as disk, contextlib.ExitStack() as stack:
        trial = Trial(folder, disk.root / "state", LARGE)
        trial.leave(count // 2)
        disk.freeze()
        thaw = stack.enter_context(_once(disk.thaw))
        trial.leave(count // 2)
        time.sleep(6)
        thaw()
        return trial.deliver("stuck for 6 s")


@contextlib.contextmanager
def _once(act: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Something that is done by the end, but once."""
    acts = [act]

    def run() -> None:
        while acts:
            acts.pop()()

    try:
        yield run
    finally:
        run()


CASES = (small_limit, small_disk, others_fill_it, read_only, stuck)


def run(case: Callable[[Path, int], Row], count: int) -> Row:
    """Try one case."""
    with tempfile.TemporaryDirectory(prefix="asd-full-") as folder:
        return case(Path(folder), count)


def main() -> int:
    """Try all, print a table, and return 1 if a decision is not accounted for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=20_000)
    said = parser.parse_args()
    logging.disable(logging.ERROR)
    print(
        "case                 left  received  given up  unaccounted  changes lost  "
        "undurable  longest, ms  JSON alone, ms"
    )
    bad = 0
    for case in CASES:
        row = run(case, said.decisions)
        bad += row.unaccounted
        print(
            f"{row.case:18} {row.left:6}  {row.received:8}  {row.given_up:8}  "
            f"{row.unaccounted:11}  {row.changes_lost:12}  {row.undurable:9}  "
            f"{row.longest_ms:11.1f}  {row.noise_ms:14.1f}",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
