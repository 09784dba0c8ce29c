"""What became of every sample of one source: each is counted once, none is left out.

Nobody can trust that there was no alarm who does not know whether anybody listened.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from asd_agent.scoring.decision import Decision, State


class Kind(str, Enum):
    """What can become of a sample."""

    SCORED = "scored"
    LEARNT = "learnt"
    SUSPECT = "suspect"
    SILENT = "silent"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Span:
    """Some samples that had the same fate."""

    kind: Kind
    reason: str
    """Why they were not simply scored, one word; empty: they were, or learnt"""
    samples: int
    """At the rate of the front end, above 0"""


class Coverage:
    """Divides the sample counter of one source, from its start to now.

    A unit that overlaps the one before adds what is new in it. What no unit holds is
    a gap: sound that was lost, and the pieces around it that are shorter than a unit.
    """

    def __init__(self, start: int = 0) -> None:
        self.past = start
        """Sample counter up to which all is divided"""
        self.totals: Counter[tuple[Kind, str]] = Counter()
        """Samples so far, by kind and reason"""

    def decided(
        self, decision: Decision, unit_samples: int, missing: str = "cut"
    ) -> list[Span]:
        """Take a unit.

        Parameters
        ----------
        decision
            Made at the end of the unit.
        unit_samples
            How long it is.
        missing
            Why sound between the unit before and this one was not heard.
        """
        start = decision.end_sample - unit_samples
        spans = self._add(Kind.GAP, missing, start)
        kind, reason = _fate(decision)
        return spans + self._add(kind, reason, decision.end_sample)

    def broken(self, past: int, reason: str) -> list[Span]:
        """Take all up to a sample as lost, or of no use."""
        return self._add(Kind.GAP, reason, past)

    def rebase(self, past: int) -> None:
        """Go on at another rate: so the counter is called now."""
        self.past = past

    def _add(self, kind: Kind, reason: str, past: int) -> list[Span]:
        samples = past - self.past
        if samples <= 0:
            return []
        self.past = past
        self.totals[kind, reason] += samples
        return [Span(kind, reason, samples)]


def _fate(decision: Decision) -> tuple[Kind, str]:
    reason = "" if decision.reason == "gap" else decision.reason
    if decision.state is State.LEARNING and decision.score is None:
        return Kind.LEARNT, ""
    if decision.score is None:
        return Kind.SILENT, reason or "silence"
    return (Kind.SUSPECT, reason) if reason else (Kind.SCORED, "")
