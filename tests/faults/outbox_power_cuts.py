"""Cut the power while decisions wait for the broker, and see what the medium holds.

A child process leaves scores and changes of state in the real outbox, on an ext4 in a
file that is shut down at a random moment without flushing its journal. Mounted again,
the database must open, hold every row that was said to be on the medium before the
cut, every change that was handed over, and every score but those of the last moments.

Needs root::

    PYTHONPATH=tests python -m faults.outbox_power_cuts --cuts 200
    PYTHONPATH=tests python -m faults.outbox_power_cuts --cuts 20 --no-fsync
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from asd_agent.mqtt.disk_outbox import FILE
from asd_agent.mqtt.queue import Span
from asd_agent.mqtt.row import encoded
from asd_agent.mqtt.store import Broken, Store
from faults.outbox_power_child import COMMIT_S, READY, content
from faults.power_cuts import Medium

SIZES = (262_144, 67_108_864)
"""Limits of the outbox, in turn: the first is full after a second"""
AFTER_S = 0.05
"""Seconds in which the child may still tell what was done before the cut"""


@dataclass(slots=True)
class Told:
    """What the child said."""

    left_s: dict[int, float] = field(default_factory=dict)
    """Second at which each number was left"""
    durable: set[int] = field(default_factory=set)
    handed: set[int] = field(default_factory=set)
    """Changes of state that were handed over"""
    changes: set[int] = field(default_factory=set)
    needless: set[int] = field(default_factory=set)
    """Numbers that were acknowledged or given up"""

    def hear(self, raw: bytes, *, late: bool = False) -> None:
        """Note whole lines; what is told late counts only as an excuse."""
        for line in raw.decode().splitlines():
            word, number, *second = line.split()
            if word in "ag":
                self.needless.add(int(number))
            elif late:
                continue
            elif word in "pc":
                self.left_s[int(number)] = float(second[0])
                if word == "c":
                    self.changes.add(int(number))
            else:
                (self.durable if word == "d" else self.handed).add(int(number))


@dataclass(slots=True)
class Tally:
    """What became of so many cuts."""

    cuts: int = 0
    rows: int = 0
    """Rows that were told to be on the medium"""
    changes: int = 0
    """Changes among them"""
    lost: int = 0
    """Rows that were told to be there, or handed over, and were not"""
    altered: int = 0
    """Rows with another content than was left"""
    corrupt: int = 0
    """Databases that could not be read"""
    oldest_s: float = 0.0
    """Age of the oldest score that was lost at a cut"""
    notes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Things that must not be."""
        return self.lost + self.altered + self.corrupt


def cut_once(tally: Tally, seed: int, moment_s: float, *, fsync: bool) -> None:
    """Leave rows until a moment, then look."""
    max_bytes = SIZES[seed % len(SIZES)]
    with tempfile.TemporaryDirectory(prefix="asd-power-") as folder:
        medium = Medium(Path(folder))
        with medium:
            told, cut_s = _leave_until(
                medium, moment_s, seed=seed, max_bytes=max_bytes, fsync=fsync
            )
        medium.take_out()
        with medium:
            tally.cuts += 1
            tally.rows += len(told.durable)
            tally.changes += len(told.durable & told.changes)
            _look(medium.root / FILE, told, cut_s, tally, max_bytes)


def _leave_until(
    medium: Medium,
    moment_s: float,
    *,
    seed: int,
    max_bytes: int,
    fsync: bool,
) -> tuple[Told, float]:
    words = [sys.executable, "-m", "faults.outbox_power_child", str(medium.root)]
    words += ["--max-bytes", str(max_bytes), "--seed", str(seed)]
    words += [] if fsync else ["--no-fsync"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    told = Told()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    ) as child:
        assert child.stdout is not None
        first = child.stdout.readline().decode().strip()
        assert first == READY, f"the child said {first!r}"
        os.set_blocking(child.stdout.fileno(), False)
        rest = b""
        for raw in _read(child.stdout.fileno(), moment_s):
            whole, rest = _lines(rest + raw)
            told.hear(whole)
        # Only what is read before the cut was told in time.
        cut_s = time.monotonic()
        medium.cut()
        for raw in _read(child.stdout.fileno(), AFTER_S):
            whole, rest = _lines(rest + raw)
            told.hear(whole, late=True)
        child.kill()
    return told, cut_s


def _read(pipe: int, seconds: float) -> Iterator[bytes]:
    until_s = time.monotonic() + seconds
    while True:
        over = time.monotonic() >= until_s
        try:
            yield os.read(pipe, 1_048_576)
        except BlockingIOError:
            if over:
                return
        time.sleep(0.002)


def _lines(raw: bytes) -> tuple[bytes, bytes]:
    """Whole lines, and what is left."""
    end = raw.rfind(b"\n") + 1
    return raw[:end], raw[end:]


def _look(path: Path, told: Told, cut_s: float, tally: Tally, max_bytes: int) -> None:
    """Count what is wrong with what the medium holds."""
    try:
        store = Store(path, max_bytes)
    except Broken as error:
        tally.corrupt += 1
        tally.notes.append(f"corrupt: {error}")
        return
    found = {row.key + store.base.key: row for row in store.page(Span(), 10**6)}
    store.close()
    for number, row in found.items():
        changed = number in told.changes or row.changed
        tally.altered += row.body != encoded(content(number, changed))
    must = (told.durable | told.handed) - told.needless
    lost = must - set(found)
    tally.lost += len(lost)
    if lost:
        tally.notes.append(f"lost after the cut of {tally.cuts}: {sorted(lost)[:10]}")
    missing = set(told.left_s) - told.needless - set(found)
    ages_s = [cut_s - told.left_s[number] for number in missing]
    tally.oldest_s = max([tally.oldest_s, *ages_s])


def run(cuts: int, *, fsync: bool, seed: int = 1, longest_s: float = 4.0) -> Tally:
    """Cut the power so many times, each time on a new medium."""
    moments = random.Random(seed)
    tally = Tally()
    for number in range(cuts):
        cut_once(tally, number, moments.uniform(0, longest_s), fsync=fsync)
    return tally


def main() -> int:
    """Cut, print a table, and return 1 if a cut ended as it must not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--no-fsync", action="store_true", help="show what happens without flushes"
    )
    said = parser.parse_args()
    tally = run(said.cuts, fsync=not said.no_fsync, seed=said.seed)
    print("fsync  cuts  rows told  changes  lost  altered  corrupt  oldest score lost")
    fsync = "no" if said.no_fsync else "yes"
    print(
        f"{fsync:5}  {tally.cuts:4}  {tally.rows:9}  {tally.changes:7}  "
        f"{tally.lost:4}  {tally.altered:7}  {tally.corrupt:7}  "
        f"{tally.oldest_s:.2f} s, commit_s {COMMIT_S}"
    )
    for note in tally.notes[:10]:
        print(note)
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
