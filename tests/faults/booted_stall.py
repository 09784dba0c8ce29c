"""The agent with a scorer and a source that stall when told to.

It is run by the agent's own Python in the booted system, in place of ``asd-agent``. A
file in `FOLDER` with the name of a part lets that part stall in the agent that began
before the file was written, and not in the one that follows.
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asd_agent.capture.recording import Recording
from asd_agent.cli import main
from asd_agent.ears import Ears

FOLDER = Path("/run/asd-stall")
BEGAN_S = time.time()
STALL_S = 3600


def stall_if_told(part: str) -> None:
    """Sleep for an hour, if this process shall."""
    file = FOLDER / part
    if file.exists() and file.stat().st_mtime > BEGAN_S:
        if part == "interpreter":
            # Unlike time.sleep it lets no other thread run.
            ctypes.PyDLL(None).sleep(STALL_S)
        time.sleep(STALL_S)


def patch() -> None:
    """Let the parts look for their files at each step."""
    step, chunks = Ears.step, Recording.chunks

    def stalling_scorer(self: Ears, *words: Any) -> Iterator[Any]:
        stall_if_told("interpreter")
        stall_if_told("scorer")
        yield from step(self, *words)

    def stalling_source(self: Recording) -> Iterator[Any]:
        for chunk in chunks(self):
            stall_if_told("source")
            yield chunk

    setattr(Ears, "step", stalling_scorer)  # noqa: B010 - replaced on purpose
    setattr(Recording, "chunks", stalling_source)  # noqa: B010


if __name__ == "__main__":
    patch()
    sys.exit(main())
