"""Tries cases: ``python -m faults.fuzz_child SECONDS SEED FOLDER KEEP TARGET...``.

Before a case is tried it is written to ``FOLDER/case``, so that it is known what ended
the process. A case that takes too long ends it with SIGALRM.
"""

import json
import logging
import random
import resource
import signal
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from faults.fuzz_broken import BROKEN
from faults.fuzz_target import Target
from faults.fuzz_targets import TARGETS

MORE_BYTES = 268_435_456
"""Address space that cases may take beyond that of the process at its start"""
MOST_CRASHES = 20
"""Of one process: then it is known that something is wrong"""


@dataclass(slots=True)
class Found:
    """What came of the cases of a process."""

    cases: int = 0
    refused: int = 0
    crashes: int = 0
    slowest_s: float = 0.0
    peak_mb: float = 0.0
    """Highest resident memory"""
    used_s: float = 0.0
    """Processor time"""
    first: str = ""
    """What the first crash was"""


class Bug(logging.Handler):
    """Sees errors that a thread has caught and logged with their traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an exception."""
        if record.exc_info and record.exc_info[1] is not None:
            self.seen = "".join(traceback.format_exception(record.exc_info[1]))


class Fuzzer:
    """One target, tried again and again."""

    def __init__(self, target: Target, folder: Path, keep: Path, seed: int) -> None:
        self.found = Found()
        self._target = target
        self._case = folder / "case"
        self._keep = keep
        self._seed = seed
        self._rng = random.Random(seed)
        self._bug = Bug()
        root = logging.getLogger()
        root.handlers = [self._bug]
        root.setLevel(logging.ERROR)

    def try_good(self) -> None:
        """See that what was not tampered with is taken."""
        for seed in self._target.seeds:
            self._target.read(seed)
            assert not self._bug.seen, self._bug.seen

    def run(self, seconds: float) -> None:
        """Try cases for so many seconds of processor time."""
        began_s = time.process_time()
        end_s = began_s + seconds
        while time.process_time() < end_s and self.found.crashes < MOST_CRASHES:
            seed = self._rng.choice(self._target.seeds)
            case = self._target.mutate(self._rng, seed)
            if case != seed:
                self._try(case)
        self.found.used_s = time.process_time() - began_s
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.found.peak_mb = peak / 1024

    def _try(self, case: bytes) -> None:
        self._case.write_bytes(case)
        signal.setitimer(signal.ITIMER_REAL, self._target.most_s)
        began_s = time.monotonic()
        self.found.cases += 1
        try:
            self._target.read(case)
            if self._bug.seen:
                self._crashed(case, self._bug.seen)
        except self._target.refusals:
            self.found.refused += 1
        except Exception:  # that is what is looked for
            self._crashed(case, traceback.format_exc())
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.found.slowest_s = max(self.found.slowest_s, time.monotonic() - began_s)

    def _crashed(self, case: bytes, how: str) -> None:
        self._bug.seen = ""
        self.found.crashes += 1
        name = self._target.name.replace(" ", "-").replace("/", "-")
        path = self._keep / f"{name}-{self._seed}-{self.found.crashes}"
        path.write_bytes(case)
        path.with_suffix(".txt").write_text(how)
        self.found.first = self.found.first or f"{path}: {how[-1500:]}"


def limit() -> None:
    """Let this process have no more than it has, and `MORE_BYTES`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MORE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Write what was found to ``FOLDER/found``, a line of JSON for each target."""
    seconds, seed, folder, keep, *names = sys.argv[1:]
    makes = TARGETS | BROKEN
    for i, name in enumerate(names):
        place = Path(folder) / str(i)
        place.mkdir()
        fuzzer = Fuzzer(makes[name](place), Path(folder), Path(keep), int(seed))
        fuzzer.try_good()
        if name == names[-1]:
            limit()
        fuzzer.run(float(seconds))
        # Not to the output: libraries print there what they think of broken files.
        with (Path(folder) / "found").open("a") as file:
            file.write(json.dumps(asdict(fuzzer.found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
