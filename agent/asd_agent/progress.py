"""A line that counts long work, where a person looks on."""

import time
from types import TracebackType
from typing import TextIO

INTERVAL_S = 0.2
"""Seconds between two redraws"""
WIDTH = 24
"""Characters in the bar"""


class Progress:
    """Counts to `total` on `screen`; silent where the screen is a file or a pipe."""

    def __init__(self, screen: TextIO, what: str, total: float, unit: str) -> None:
        self._screen = screen
        self._what = what
        self._total = max(total, 1e-9)
        self._unit = unit
        self._done = 0.0
        self._drawn_s = 0.0
        self._shown = screen.isatty()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._draw()
            self._screen.write("\n")

    def add(self, done: float) -> None:
        """Count so much more."""
        self.reach(self._done + done)

    def reach(self, done: float) -> None:
        """Count to so much."""
        self._done = done
        now_s = time.monotonic()
        if self._shown and now_s - self._drawn_s >= INTERVAL_S:
            self._drawn_s = now_s
            self._draw()

    def _draw(self) -> None:
        share = min(1.0, self._done / self._total)
        bar = ("#" * round(share * WIDTH)).ljust(WIDTH, ".")
        count = f"{self._done:.0f} of {self._total:.0f} {self._unit}"
        self._screen.write(f"\r{self._what} [{bar}] {count} ")
        self._screen.flush()
