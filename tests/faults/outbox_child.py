"""The agent of `faults.outbox`: publishes numbered decisions until it is killed.

It tells by its standard output what may be counted on: ``d`` and the numbers that are
on the medium, ``a`` and one that the broker has acknowledged, ``g`` and how many were
given up.
"""

import argparse
import json
import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asd_agent.config import OutboxConfig
from asd_agent.mqtt import payloads
from asd_agent.mqtt.disk_outbox import DiskOutbox
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.row import Row
from asd_agent.mqtt.store import Store
from support.decisions import ALARM, NORMAL, ORIGIN
from support.publishers import plain

COMMIT_S = 1.0
LIVES = 1_000_000
"""Numbers of one life"""
SOURCES = 8
SCORE = payloads.anomaly(NORMAL, ORIGIN)
ALERT = payloads.anomaly(ALARM, ORIGIN)


def tell(word: str, numbers: Iterable[int]) -> None:
    """Say something, in one piece."""
    for number in numbers:
        os.write(1, f"{word} {number}\n".encode())


def number_of(row: Row) -> int:
    """The number in a row."""
    number: int = json.loads(row.body)["n"]
    return number


class TellingStore(Store):
    """Tells of each row that is on the medium."""

    def save(self, rows: Sequence[Row], gone: Mapping[int, bool], **keys: Any) -> Any:
        """Write, then tell."""
        given_up = super().save(rows, gone, **keys)
        tell("d", map(number_of, rows))
        return given_up


class TellingOutbox(DiskOutbox):
    """Tells of each row that the broker has acknowledged."""

    def done(self, key: int) -> None:
        """Tell, then forget."""
        row = self._queue._front.get(key)
        if row is not None:
            tell("a", [number_of(row)])
        super().done(key)


def produce(publisher: Publisher, life: int, rate_hz: float) -> None:
    """Publish for ever; one in five is a change of state."""
    draw = random.Random(life)
    number = life * LIVES
    while True:
        number += 1
        changed = draw.random() < 0.2
        payload = (ALERT if changed else SCORE) | {"n": number}
        publisher.decision(f"s{number % SOURCES}", payload, changed)
        if publisher.dropped:
            tell("g", [publisher.dropped])
        time.sleep(1 / rate_hz)


def main() -> None:
    """Run one life."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--life", type=int, required=True)
    parser.add_argument("--rate-hz", type=float, default=20)
    said = parser.parse_args()
    config = OutboxConfig(commit_s=COMMIT_S)
    publisher = Publisher(
        plain(said.port, keepalive_s=5),
        "press-07",
        {"v": 1},
        outbox=TellingOutbox(said.folder, config, open_store=TellingStore),
        uniform=lambda low, high: random.uniform(low, min(high, 1.0)),
    )
    publisher.start()
    if said.rate_hz:
        produce(publisher, said.life, said.rate_hz)
    # The last life only sends what the others have left.
    while publisher.waiting or not publisher.connected:
        time.sleep(0.05)
    publisher.close()


if __name__ == "__main__":
    main()
