"""What an examination has found, in words and in figures."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from asd_agent.errors import AsdError, ConfigError

Figure = float | int | str | bool | None
Figures = Mapping[str, Figure]
NONE: Figures = MappingProxyType({})
_FIX = re.compile(
    r"(?s)(?P<text>.{10,}?)[;.] (?P<fix>[A-Za-z](?:(?![;.] [A-Za-z]).)+)$"
)
"""The errors of this software end with what to do"""


class Grade(str, Enum):
    """How good a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    """Nobody looked: something else stood before it"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    """What was looked at, a word or two"""
    grade: Grade
    text: str
    """What was found, with units"""
    fix: str = ""
    """What to do; empty where all is well"""
    exit_code: int = 0
    """Of the command if this is the first failure"""
    figures: Figures = field(default_factory=dict)
    """The numbers of the text, for programs; units are in the names"""
    part: str = ""
    """What it belongs to, such as ``source gearbox``; the examiner fills it in"""


def ok(subject: str, text: str, *, figures: Figures = NONE) -> Finding:
    """Something is as it should be."""
    return Finding(subject, Grade.OK, text, figures=figures)


def warn(subject: str, text: str, fix: str, *, figures: Figures = NONE) -> Finding:
    """The agent works, and something will hurt it or does already."""
    return Finding(subject, Grade.WARN, text, fix, figures=figures)


def fail(
    subject: str,
    text: str,
    fix: str,
    kind: type[AsdError] = ConfigError,
    *,
    figures: Figures = NONE,
) -> Finding:
    """The agent cannot work like this; `kind` says which exit code that has."""
    return Finding(subject, Grade.FAIL, text, fix, kind.exit_code, figures)


def skip(subject: str, text: str, fix: str = "") -> Finding:
    """Nobody could look."""
    return Finding(subject, Grade.SKIP, text, fix)


def refused(subject: str, error: AsdError, fix: str = "") -> Finding:
    """What an error of this software says: its text ends with what to do."""
    text = str(error)
    parts = None if fix else _FIX.fullmatch(text)
    if parts:
        text, fix = parts["text"], parts["fix"]
    return Finding(subject, Grade.FAIL, text, fix, error.exit_code)
