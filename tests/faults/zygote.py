"""Processes of an agent that are killed: forked from one that has all imported.

The zygote reads a line of JSON, ``{"call": name, "keys": {...}}``, runs that function
of `faults.lives` in a fork, and answers with how the fork ended: its exit code, or the
number of the signal, negative.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

TESTS = Path(__file__).parents[1]
LIFE_S = 30
"""Seconds after which a fork is ended"""


class Zygote:
    """The process that forks, as a context manager."""

    def __enter__(self) -> "Zygote":
        paths = [str(TESTS), str(TESTS.parent / "agent")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process as process:
            if process.stdin:
                process.stdin.close()
            process.wait(10)

    def live(self, call: str, **keys: Any) -> int:
        """Run one life of an agent; how it ended."""
        process = self._process
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({"call": call, "keys": keys}) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())


def main() -> None:
    """Fork a life for each line."""
    from faults import lives

    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _live(getattr(lives, asked["call"]), asked["keys"])
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def _live(call: Any, keys: dict[str, Any]) -> None:
    """Run to the end of this process, which nothing outlives."""
    os.dup2(2, 1)  # what is said must not be taken for an answer
    signal.alarm(LIFE_S)
    code = 1
    try:
        call(**keys)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
