"""When a rollout ends early: counts of devices compared with numbers.

The grammar, all of it::

    rule       = all ("or" all)*
    all        = part ("and" part)*
    part       = "(" rule ")" | NAME OPERATOR NUMBER
    OPERATOR   = ">" | ">=" | "<" | "<=" | "=="
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asd_agent.errors import ConfigError

NAMES = ("rolled_back", "rejected", "alarms", "offline", "committed")
"""What can be counted; docs/fleet.md says how"""
MAX_CHARACTERS = 500
"""A longer rule is none"""
MAX_DEPTH = 20
"""Parentheses within each other"""
_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
}
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|(\d+)|(>=|<=|==|[<>()])|(\S))", re.ASCII)


class Wrong(ValueError):
    """The rule is not one; it knows where."""

    def __init__(self, at: int, expected: str) -> None:
        super().__init__(expected)
        self.at = at


@dataclass(frozen=True, slots=True)
class Comparison:
    """One count against one number."""

    name: str
    sign: str
    number: int

    def holds(self, counts: Mapping[str, int]) -> bool:
        """Whether it is so."""
        return _OPERATORS[self.sign](counts[self.name], self.number)

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.number}"


@dataclass(frozen=True, slots=True)
class Group:
    """Parts of which all (`and`) or any (`or`) must hold."""

    word: str
    parts: tuple["Rule", ...]

    def holds(self, counts: Mapping[str, int]) -> bool:
        """Whether it is so."""
        found = (part.holds(counts) for part in self.parts)
        return all(found) if self.word == "and" else any(found)

    def __str__(self) -> str:
        return f"({f' {self.word} '.join(map(str, self.parts))})"


Rule = Comparison | Group


def parse(text: str) -> Rule:
    """Read a rule such as ``rolled_back>0 or alarms>5``.

    Raises
    ------
    ConfigError
        It is none; the text points at the place.
    """
    try:
        if len(text) > MAX_CHARACTERS:
            raise Wrong(MAX_CHARACTERS, f"at most {MAX_CHARACTERS} characters")
        parser = _Parser(text)
        rule = parser.either()
        parser.end()
    except Wrong as wrong:
        start = max(0, wrong.at - 40)
        shown = "".join(c if c.isprintable() else "?" for c in text[start:][:80])
        pointer = " " * (wrong.at - start) + "^"
        raise ConfigError(
            f"the rule is not understood: expected {wrong}\n  {shown}\n  {pointer}"
        ) from wrong
    return rule


class _Parser:
    """Reads tokens from left to right, looking one ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            (match[match.lastindex or 0], match.start(match.lastindex or 0))
            for match in _TOKEN.finditer(text)
        ]
        self._tokens.append(("", len(text)))
        self._next = 0
        self._depth = 0

    def either(self) -> Rule:
        return self._chain("or", self._all)

    def end(self) -> None:
        if self._word:
            raise Wrong(self._at, "'and', 'or' or the end")

    @property
    def _word(self) -> str:
        return self._tokens[self._next][0]

    @property
    def _at(self) -> int:
        return self._tokens[self._next][1]

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1][0]

    def _all(self) -> Rule:
        return self._chain("and", self._part)

    def _chain(self, word: str, inner: Callable[[], Rule]) -> Rule:
        parts = [inner()]
        while self._word == word:
            self._take()
            parts.append(inner())
        return Group(word, tuple(parts)) if len(parts) > 1 else parts[0]

    def _part(self) -> Rule:
        if self._word == "(":
            if self._depth == MAX_DEPTH:
                raise Wrong(self._at, f"at most {MAX_DEPTH} '(' within each other")
            self._take()
            self._depth += 1
            rule = self.either()
            self._depth -= 1
            if self._word != ")":
                raise Wrong(self._at, "')', 'and' or 'or'")
            self._take()
            return rule
        if self._word not in NAMES:
            raise Wrong(self._at, f"one of {', '.join(NAMES)}")
        name = self._take()
        if self._word not in _OPERATORS:
            raise Wrong(self._at, f"one of {' '.join(_OPERATORS)}")
        sign = self._take()
        if not self._word.isdigit():
            raise Wrong(self._at, "a whole number")
        return Comparison(name, sign, int(self._take()))
