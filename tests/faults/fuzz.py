"""Throws what was tampered with at everything that the device reads.

``PYTHONPATH=tests python -m faults.fuzz --minutes 10`` spreads so many minutes of
processor time over the targets (`--only` names some of them), each in a process of its
own that may have 256 MB more than it has at its start, and prints a table. A case may
be refused with the error that its reader tells of, and with nothing else; it may take
20 s. What crashed a reader is written to the folder that `--keep` names.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faults.fuzz_child import MOST_CRASHES, Found
from faults.fuzz_target import MEMORY
from faults.fuzz_targets import TARGETS

TESTS = Path(__file__).parents[1]
ROUND_S = 60.0
"""Processor time of one process"""
PATIENCE = 20.0
"""Times its processor time that a process may take, with 60 s more"""


@dataclass(slots=True)
class Total:
    """What came of a target in all its processes."""

    cases: int = 0
    refused: int = 0
    crashes: int = 0
    slowest_s: float = 0.0
    peak_mb: float = 0.0
    used_s: float = 0.0
    first: str = ""
    """What the first crash was"""

    def add(self, found: Found) -> None:
        """Add what a process found."""
        self.cases += found.cases
        self.refused += found.refused
        self.crashes += found.crashes
        self.slowest_s = max(self.slowest_s, found.slowest_s)
        self.peak_mb = max(self.peak_mb, found.peak_mb)
        self.used_s += found.used_s
        self.first = self.first or found.first


def fuzz(name: str, seconds: float, seed: int, keep: Path) -> Total:
    """Try cases of one target for so many seconds of processor time."""
    total = Total()
    while total.used_s < seconds and total.crashes < MOST_CRASHES:
        rest = min(ROUND_S, seconds - total.used_s)
        for found in one_process([name], rest, seed, keep):
            total.add(found)
        seed += 1
    return total


def one_process(
    names: Sequence[str], seconds: float, seed: int, keep: Path
) -> list[Found]:
    """Try cases of some targets in a process of its own, and see how it ends."""
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="asd-fuzz-", dir=MEMORY) as folder:
        words = [str(seconds), str(seed), folder, str(keep), *names]
        limit_s = len(names) * (60 + PATIENCE * seconds)
        try:
            done = subprocess.run(
                [sys.executable, "-m", "faults.fuzz_child", *words],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
                timeout=limit_s,
                env=os.environ | {"PYTHONPATH": _path(), "OMP_NUM_THREADS": "1"},
            )
            end = done.stderr[-1500:].decode("utf-8", "replace")
            how = f"ended with {done.returncode}: {end}"
        except subprocess.TimeoutExpired:
            how = f"was not done after {limit_s:.0f} s"
        written = Path(folder) / "found"
        lines = written.read_text().splitlines() if written.exists() else []
        found = [Found(**json.loads(line)) for line in lines]
        if len(found) < len(names):
            found.append(
                _died(names[len(found)], seed, Path(folder) / "case", how, keep)
            )
        return found


def _died(name: str, seed: int, case: Path, how: str, keep: Path) -> Found:
    """Keep the case that ended a process: it was written before it was tried."""
    if case.exists():
        kept = keep / f"{name.replace(' ', '-').replace('/', '-')}-{seed}-died"
        kept.write_bytes(case.read_bytes())
        how = f"{kept}: {how}"
    return Found(cases=1, crashes=1, first=how, used_s=1.0)


def _path() -> str:
    return os.pathsep.join([str(TESTS), str(TESTS.parent / "agent")])


def main() -> int:
    """Print a table; 1 if anything crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="processor time")
    parser.add_argument("--only", action="append", help="a target, or how it begins")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for what crashed a reader")
    args = parser.parse_args()
    keep = args.keep or Path(tempfile.mkdtemp(prefix="asd-fuzz-crashes-"))
    wanted = tuple(args.only or [""])
    names = [name for name in TARGETS if name.startswith(wanted)]
    if not names:
        parser.error(f"--only: no target begins so; there are {', '.join(TARGETS)}")
    print("| read | cases | refused | crashes | slowest case, s | highest memory, MB |")
    print("|---|---:|---:|---:|---:|---:|")
    began_s, crashes, cases, used_s = time.monotonic(), 0, 0, 0.0
    for name in names:
        total = fuzz(name, args.minutes * 60 / len(names), args.seed, keep)
        crashes, cases = crashes + total.crashes, cases + total.cases
        used_s += total.used_s
        print(
            f"| {name} | {total.cases:,} | {total.refused:,} | {total.crashes} | "
            f"{total.slowest_s:.2f} | {total.peak_mb:.0f} |",
            flush=True,
        )
        if total.first:
            print(total.first, file=sys.stderr, flush=True)
    took = (
        f"{used_s / 60:.1f} min of processor time in {time.monotonic() - began_s:.0f} s"
    )
    print(f"\n{cases:,} cases, {crashes} crashes, {took}; crashes are kept in {keep}")
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
