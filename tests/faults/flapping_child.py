"""The agent of `faults.flapping`: a day of decisions, as fast as the disk follows.

It tells by its standard output, at every mark, at the end and once more when all is
sent: how many decisions it has left, its resident bytes, how many wait, were given up,
connections made again, and changes handed over before they were on disk.
"""

import argparse
import logging
import random
import time
from pathlib import Path

from asd_agent.config import OutboxConfig
from asd_agent.mqtt import payloads
from asd_agent.mqtt.disk_outbox import DiskOutbox
from asd_agent.mqtt.publisher import Publisher
from support.decisions import ALARM, NORMAL, ORIGIN
from support.outboxes import Clock
from support.publishers import plain

SCORE = payloads.anomaly(NORMAL, ORIGIN)
ALERT = payloads.anomaly(ALARM, ORIGIN)
CHANGES = 500
"""One in so many decisions is a change of state"""
BURST, RATE_HZ = 8, 400
"""Decisions that are left at once, and in a real second"""
QUICKER = 50
"""Pauses between attempts to connect are so many times shorter"""
MARK = 500
"""Decisions from one report to the next"""


def tell(publisher: Publisher, left: int) -> None:
    """Report."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    told = (
        left,
        pages * 4096,
        publisher.waiting,
        publisher.dropped,
        publisher.reconnects,
        publisher.undurable,
    )
    print(*told, flush=True)


def main() -> None:
    """Leave so many decisions, one a second of a clock of their own; send the rest."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--decisions", type=int, required=True)
    said = parser.parse_args()
    logging.disable(logging.ERROR)
    clock = Clock()
    publisher = Publisher(
        plain(said.port, interval_s=0.1),
        "press-07",
        {"v": 1},
        outbox=DiskOutbox(said.folder, OutboxConfig(), clock=clock),
        clock=clock,
        uniform=lambda low, high: random.uniform(low, high) / QUICKER,
    )
    publisher.start()
    for number in range(1, said.decisions + 1):
        clock.now_s += 1
        changed = number % CHANGES == 0
        payload = (ALERT if changed else SCORE) | {"n": number}
        publisher.decision("gearbox", payload, changed)
        if number % BURST == 0:
            time.sleep(BURST / RATE_HZ)
        if number % MARK == 0:
            tell(publisher, number)
    tell(publisher, said.decisions)
    while publisher.waiting:
        time.sleep(0.1)
    tell(publisher, said.decisions)
    publisher.close()


if __name__ == "__main__":
    main()
