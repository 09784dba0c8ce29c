"""One network for several sources: each unit takes its turn.

A network's buffers belong to one caller at a time, and a second copy of it would
take its memory again. An ordinary lock may be taken again and again by the thread
that has just let go of it; here whoever asked first is next.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

import numpy as np
from numpy.typing import NDArray

from asd_agent.inference.embedder import Embedder


class Turns:
    """A lock that is given in the order in which it was asked for."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for all who asked before; let go at the end of a `with`."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket)
        try:
            yield
        finally:
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()


class Shared:
    """An embedder that several threads use."""

    def __init__(self, embedder: Embedder, turns: Turns) -> None:
        self.model = embedder.model
        self.library = embedder.library
        self._embedder = embedder
        self._turns = turns

    def embed(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed one unit when it is this caller's turn; see `Embedder.embed`."""
        with self._turns.turn():
            return self._embedder.embed(unit)
