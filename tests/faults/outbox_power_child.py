"""The agent of `faults.outbox_power_cuts`: leaves rows until the power fails.

It tells by its standard output: ``p`` or ``c``, a number and the second, when it has
left a score or a change of state; ``d`` and a number that is on the medium; ``h`` and
that of a change that was handed over; ``a`` and that of a row that a broker would have
acknowledged; ``g`` and one that was given up.
"""

import argparse
import os
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asd_agent.config import OutboxConfig
from asd_agent.mqtt.disk_outbox import DiskOutbox
from asd_agent.mqtt.row import Row
from asd_agent.mqtt.store import Store

COMMIT_S = 0.5
RATE_HZ = 200
READY = "ready"


def content(number: int, changed: bool) -> dict[str, Any]:
    """The payload of a number: nobody else writes the like."""
    size = 300 + number * 7919 % 400 + 1500 * changed
    return {"n": number, "pad": f"{number:x}" * (size // len(f"{number:x}"))}


def tell(*words: object) -> None:
    """Say a line, in one piece."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class TellingStore(Store):
    """Tells of each row that is on the medium, or given up there."""

    def save(self, rows: Sequence[Row], gone: Mapping[int, bool], **keys: Any) -> Any:
        """Write, then tell; numbers of this life are keys."""
        given_up = super().save(rows, gone, **keys)
        for key in given_up:
            tell("g", key)
        for row in rows:
            tell("d", row.key)
        return given_up


class UnsyncedStore(TellingStore):
    """One that does not wait for the medium."""

    def _begin(self) -> None:
        super()._begin()
        self._database.execute("PRAGMA synchronous = OFF")


def send(outbox: DiskOutbox, draw: random.Random) -> None:
    """Be a broker for a moment, or one that is lost again."""
    rows = outbox.take()
    for row in rows:
        if row.changed:
            tell("h", row.key)
    for row in rows:
        if draw.random() < 0.9:
            tell("a", row.key)
            outbox.done(row.key)
    outbox.rewind()


def main() -> None:
    """Leave rows for ever, while a broker comes and goes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--max-bytes", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--no-fsync", action="store_true")
    said = parser.parse_args()
    draw = random.Random(said.seed)
    outbox = DiskOutbox(
        said.folder,
        OutboxConfig(commit_s=COMMIT_S, max_bytes=said.max_bytes),
        open_store=UnsyncedStore if said.no_fsync else TellingStore,
    )
    outbox.start(lambda: None)
    tell(READY)
    number, away_s = 0, 0.0
    while True:
        number += 1
        changed = draw.random() < 0.05
        # The second is taken first: the row is never younger than it is said to be.
        now_s = time.monotonic()
        outbox.put(content(number, changed), changed=changed, late=True)
        tell("c" if changed else "p", number, now_s)
        if now_s > away_s:
            send(outbox, draw)
            if draw.random() < 0.02:
                away_s = now_s + draw.uniform(0, 2)
        time.sleep(1 / RATE_HZ)


if __name__ == "__main__":
    main()
