"""A file that shows that the agent lives, for containers, which have no systemd.

The agent writes it when its scoring has gone on (`asd_agent.notify`); the container's
health check is ``python -m asd_agent.heartbeat``. An agent that has stalled is ended
there, so that the container is started anew: Docker itself starts nothing anew that
is merely unhealthy.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

ABORT_S = 2.0
"""Seconds that a stalled agent has to write where it stalled, before it is killed"""
MAX_BYTES = 100
"""More is no heartbeat"""


@dataclass(frozen=True, slots=True)
class Beat:
    """What the file says."""

    pid: int
    """Process that lives"""
    at_s: float
    """When it last did; seconds of the monotonic clock, which nobody sets"""


class Heartbeat:
    """The file, and how old it may be."""

    LIMIT_S: ClassVar[float] = 30.0
    """Seconds without a beat after which the agent has stalled"""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock

    def beat(self) -> None:
        """Write that this process lives now; whole or not at all.

        Raises
        ------
        OSError
            The file cannot be written.
        """
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text(f"{os.getpid()} {self._clock():.3f}\n", encoding="ascii")
        partial.replace(self._path)

    def read(self) -> Beat | None:
        """The last beat; None: there was none yet, or the file is something else."""
        try:
            with self._path.open(encoding="ascii") as file:
                pid, at_s = file.read(MAX_BYTES).split()
            beat = Beat(int(pid), float(at_s))
        except (OSError, ValueError):
            return None
        # 0 and less would be a signal to many processes.
        return beat if beat.pid > 0 else None

    def age_s(self, beat: Beat) -> float:
        """Seconds since a beat."""
        return self._clock() - beat.at_s


def main(
    environment: Mapping[str, str] = os.environ,
    kill: Callable[[int, int], None] = os.kill,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Tell whether the agent lives; end it if it did and does no more.

    Returns
    -------
    int
        0: it lives. 1: it has stalled, or has not begun to hear yet.
    """
    path = environment.get("ASD_HEARTBEAT")
    if not path:
        print("ASD_HEARTBEAT names no file: set it to the agent's", file=sys.stderr)
        return 1
    heartbeat = Heartbeat(Path(path))
    beat = heartbeat.read()
    if beat is None:
        print(f"{path}: no sign of life yet")
        return 1
    age_s = heartbeat.age_s(beat)
    if age_s <= Heartbeat.LIMIT_S:
        print(f"alive {max(0.0, age_s):.0f} s ago")
        return 0
    print(f"stalled for {age_s:.0f} s; ended")
    _end(beat.pid, kill, sleep)
    Path(path).unlink(missing_ok=True)  # of what is started next nothing is known
    return 1


def _end(
    pid: int, kill: Callable[[int, int], None], sleep: Callable[[float], None]
) -> None:
    """End a process, which may be stopped, and let it say where it was."""
    with suppress(ProcessLookupError):
        for number in (signal.SIGABRT, signal.SIGCONT):
            kill(pid, number)
        sleep(ABORT_S)
        kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
