"""The findings as text for a terminal, and as JSON."""

import re
import shutil
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asd_agent import __version__
from asd_agent.doctor.finding import Finding, Grade

WIDTH = 80
"""Columns of a terminal that does not say how many it has"""
MAX_WIDTH = 100
"""Longer lines are hard to read"""
MARKS = {Grade.OK: "ok", Grade.WARN: "warn", Grade.FAIL: "FAIL", Grade.SKIP: "skip"}
_TIED = "\N{NO-BREAK SPACE}"
_UNIT = re.compile(r"(\d) (%|k?Hz|ms|s|dBFS|dB|[kMGT]?B|°C)(?![\w])")
"""A number and its unit stand on one line"""
_INDENT = 8
"""Columns before the text"""


@dataclass(frozen=True, slots=True)
class Report:
    """What one visit has found."""

    config: str
    """Path of the configuration"""
    at: datetime
    """When it began, UTC"""
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """Of the first failure; 0: there is none."""
        codes = (f.exit_code for f in self.findings if f.grade is Grade.FAIL)
        return next(codes, 0)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "v": 1,
            "agent": __version__,
            "ts": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "config": self.config,
            "exit_code": self.exit_code,
            "counts": {grade.value: n for grade, n in counts(self.findings).items()},
            "findings": [_values(finding) for finding in self.findings],
        }

    def text(self, width: int = WIDTH) -> str:
        """For people: just what was printed."""
        lines: list[str] = []
        screen = Screen(lines.append, width)
        screen.head(self.config)
        for finding in self.findings:
            screen.show(finding)
        screen.end(self.findings)
        return "\n".join(lines) + "\n"


class Screen:
    """Prints findings as they come, under the name of their part.

    Parameters
    ----------
    write
        Takes one line.
    width
        Columns; None: those of the terminal.
    """

    def __init__(self, write: Callable[[str], object], width: int | None = None):
        columns = width or shutil.get_terminal_size((WIDTH, 24)).columns
        self._write = write
        self._width = max(40, min(columns, MAX_WIDTH)) - 1
        self._part = ""

    def head(self, config: str) -> None:
        """Say what is looked at."""
        self._write(f"asd-agent {__version__} doctor, {config}")

    def show(self, finding: Finding) -> None:
        """Print a finding."""
        if finding.part != self._part:
            self._part = finding.part
            self._write("")
            self._write(finding.part)
        mark = MARKS[finding.grade].ljust(_INDENT - 2)
        self._wrapped(f"  {mark}", f"{finding.subject}: {finding.text}")
        if finding.fix:
            self._wrapped(" " * _INDENT + "fix: ", finding.fix)

    def end(self, findings: Sequence[Finding]) -> None:
        """Print the summary."""
        self._write("")
        self._wrapped("", summary(findings))

    def _wrapped(self, first: str, text: str) -> None:
        for i, line in enumerate(text.splitlines() or [""]):
            begin = first if i == 0 else " " * len(first)
            for wrapped in textwrap.wrap(
                _UNIT.sub(rf"\1{_TIED}\2", line),
                self._width,
                initial_indent=begin,
                subsequent_indent=" " * len(first),
                break_long_words=False,
                break_on_hyphens=False,
            ) or [begin.rstrip()]:
                self._write(wrapped.replace(_TIED, " "))


def counts(findings: Iterable[Finding]) -> dict[Grade, int]:
    """How many findings there are of each grade."""
    found = Counter(finding.grade for finding in findings)
    return {grade: found[grade] for grade in Grade}


def summary(findings: Sequence[Finding]) -> str:
    """One sentence for all."""
    found = counts(findings)
    parts = [
        f"{found[Grade.FAIL]} failed",
        f"{found[Grade.WARN]} {'warning' if found[Grade.WARN] == 1 else 'warnings'}",
        f"{found[Grade.OK]} ok",
    ]
    if found[Grade.SKIP]:
        parts.append(f"{found[Grade.SKIP]} not looked at")
    text = ", ".join(parts) + "."
    if found[Grade.FAIL]:
        return text + " Mend the first failure first; others may follow from it."
    return text


def _values(finding: Finding) -> dict[str, Any]:
    return {
        "part": finding.part,
        "subject": finding.subject,
        "grade": finding.grade.value,
        "text": finding.text,
        "fix": finding.fix or None,
        "exit_code": finding.exit_code,
        "figures": dict(finding.figures),
    }
