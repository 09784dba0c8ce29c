"""What a person sees of a push: a live table in a terminal, else a line a change."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from asd_export import table
from asd_export.fleet import Fleet
from asd_export.tally import Tally

CALM = frozenset({"committed", "waiting", "unknown"})
"""Phases in which nothing happens at a device"""
FRAME = 4
"""Lines of a screen beside the devices"""


class Screen:
    """Writes to `out`; a terminal gets a table that moves."""

    def __init__(self, fleet: Fleet, out: TextIO | None = None) -> None:
        self._fleet = fleet
        self._console = table.console(out)
        self._live: Live | None = None
        self._lines: dict[str, str] = {}

    def say(self, line: str) -> None:
        """Tell a sentence."""
        self._console.print(line, markup=False, soft_wrap=True)

    def print(self, shown: Table) -> None:
        """Show a table that does not move."""
        self._console.print(shown)

    def show(self, tally: Tally, title: str) -> None:
        """Show how far each device is."""
        if not self._console.is_terminal:
            self._log(tally)
            return
        names = sorted(tally.names)
        if len(names) > self._console.height - FRAME:
            # What needs no more attention goes where the screen ends.
            names.sort(key=lambda name: tally.phase(name) in CALM)
        devices = [self._fleet[name] for name in names]
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(table.of_rollout(tally, devices, title), refresh=True)

    def close(self) -> None:
        """Leave the table as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Show how many bytes have gone."""
        self.close()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        quiet = not self._console.is_terminal
        if quiet:
            self.say(f"sending {title}, {total:,} bytes")
        with Progress(*columns, console=self._console, disable=quiet) as progress:
            task = progress.add_task(title, total=total)
            yield lambda done: progress.update(task, completed=min(done, total))
            progress.update(task, completed=total)

    def _log(self, tally: Tally) -> None:
        clock = time.strftime("%H:%M:%S")
        for name in sorted(tally.names):
            line = table.line(tally, self._fleet[name])
            if self._lines.get(name) != line:
                self._lines[name] = line
                self.say(f"{clock} {line}")
