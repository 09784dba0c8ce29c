"""Listens to a source for some seconds, with an end whatever the source does."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from asd_agent.capture.chunk import Chunk, Source

FIRST_S = 20.0
"""Seconds for the first sound; the agent's own capture gives up before"""
STALL_S = 5.0
"""Seconds without a chunk after which nothing more is waited for"""
CLOSE_S = 2.0
"""Seconds that a source may take to let go of its device"""
_WAITING = 64
"""Chunks between the thread that reads and the one that measures"""

OnChunk = Callable[[Chunk, float], None]
"""Takes a chunk and when it came, monotonic seconds"""


@dataclass(frozen=True, slots=True)
class Heard:
    """How the listening went."""

    first_s: float | None
    """Seconds until the first chunk; None: there was none"""
    seconds: float
    """Of sound"""
    error: Exception | None = None
    """What ended it early"""
    stalled: bool = False
    """Whether it ended because nothing came any more"""


class _Reader(threading.Thread):
    """Reads a source; it may hang in it for ever."""

    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        super().__init__(name="doctor", daemon=True)
        self.chunks: queue.Queue[tuple[Chunk, float] | None] = queue.Queue(_WAITING)
        self.error: Exception | None = None
        self._source = source
        self._clock = clock
        self._stop_it = threading.Event()

    def run(self) -> None:
        """Read until the end, or until `end`."""
        try:
            for chunk in self._source.chunks():
                if not self._put((chunk, self._clock())):
                    break
        except Exception as error:  # a thread's top; the listener raises it again
            self.error = error
        finally:
            self._put(None)

    def end(self) -> None:
        """Let go of the source, or leave it behind."""
        self._stop_it.set()
        self._source.close()
        self.join(CLOSE_S)

    def _put(self, item: tuple[Chunk, float] | None) -> bool:
        while not self._stop_it.is_set():
            try:
                self.chunks.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def listen(
    source: Source,
    seconds: float,
    on_chunk: OnChunk,
    *,
    first_s: float = FIRST_S,
    stall_s: float = STALL_S,
    clock: Callable[[], float] = time.monotonic,
) -> Heard:
    """Listen for some seconds of sound, not of the clock.

    Parameters
    ----------
    source
        Closed afterwards.
    seconds
        Of sound; less where the source ends.
    """
    reader = _Reader(source, clock)
    begun_s = clock()
    reader.start()
    came_s: float | None = None
    heard_s = 0.0
    try:
        while heard_s < seconds:
            try:
                item = reader.chunks.get(timeout=first_s if came_s is None else stall_s)
            except queue.Empty:
                return Heard(came_s, heard_s, stalled=True)
            if item is None:
                return Heard(came_s, heard_s, reader.error)
            chunk, at_s = item
            came_s = at_s - begun_s if came_s is None else came_s
            heard_s += len(chunk.samples) / chunk.rate_hz
            on_chunk(chunk, at_s)
    finally:
        reader.end()
    return Heard(came_s, heard_s)
