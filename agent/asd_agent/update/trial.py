"""Whether a bundle that was just switched to may stay; no clock, no I/O, no threads.

A window is healthy if it is whole and its score is a finite number. So many of them,
over all sources that hear sound, and the bundle stays. It goes if

- a network gives what is no number (``not_finite``),
- a member gives the same vector for all that a source hears (``identical``). Vectors
  are asked and not scores: scores may well be equal, as 0 where a recording repeats
  what was learnt from it,
- it cannot keep up with the sound (``too_slow``),
- it raises an exception (``error``).

A source that hears nothing, or still learns, neither helps nor hinders. Nothing here
asks whether the broker can be reached: that says nothing of a bundle.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from asd_agent.scoring.decision import Decision

STEPS = 20
"""Newest steps that the median is of; fewer say nothing"""
MAX_OVERRUNS = 3
"""Times that sound may be lost because it was not taken: a device may stall once"""


class Watch:
    """What one source has seen of the bundle on trial; one thread writes to it."""

    def __init__(self, shift_s: float) -> None:
        self.windows = 0
        """Whole windows with a finite score, counted twice per length of a window"""
        self.not_finite = False
        """Whether a vector or a score was no number"""
        self.stuck = True
        """Whether a member has given nothing but one vector so far"""
        self.overruns = 0
        """Times that sound was lost because it was not taken in time"""
        self.failure: str | None = None
        """Reason to go back that was seen elsewhere"""
        self._shift_s = shift_s
        self._steps: deque[float] = deque(maxlen=STEPS)
        self._spent_s = 0.0
        self._counted = 0

    def step(self, decisions: Sequence[Decision], spent_s: float) -> None:
        """Take what came of a block, and the seconds that it took."""
        self._spent_s += spent_s
        for decision in decisions:
            self._count(decision)
        if decisions:
            self._steps.append(self._spent_s / len(decisions))
            self._spent_s = 0.0

    def heard(self, not_finite: int, stuck: bool) -> None:
        """Take what `Hearing` counted: units without numbers, and whether all alike."""
        self.not_finite = self.not_finite or not_finite > 0
        self.stuck = stuck

    def _count(self, decision: Decision) -> None:
        if decision.score is None:
            return
        if not math.isfinite(decision.score):
            self.not_finite = True
        elif decision.windows > self._counted:
            self.windows += 1
        self._counted = decision.windows

    @property
    def slow(self) -> bool:
        """Whether the sound comes faster than it is judged."""
        if self.overruns >= MAX_OVERRUNS:
            return True
        return len(self._steps) == STEPS and median(self._steps) > self._shift_s

    def reason(self, needed: int) -> str | None:
        """Why the bundle must go, as far as this source can tell."""
        if self.failure is not None:
            return self.failure
        if self.not_finite:
            return "not_finite"
        if self.slow:
            return "too_slow"
        if self.stuck and self.windows >= needed:
            return "identical"
        return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with the bundle on trial."""

    end: Literal["wait", "commit", "roll_back"]
    windows: int
    """Healthy windows so far"""
    reason: str | None = None
    """Why it must go, one word"""


def judge(watches: Sequence[Watch], needed: int) -> Verdict:
    """Say whether a bundle may stay.

    Parameters
    ----------
    watches
        One for each source that has switched to it.
    needed
        Healthy windows after which it stays.
    """
    windows = sum(watch.windows for watch in watches if not watch.stuck)
    for watch in watches:
        reason = watch.reason(needed)
        if reason is not None:
            return Verdict("roll_back", windows, reason)
    # Sound that is heard but has not shown yet that the network hears it, too.
    undecided = any(watch.stuck and watch.windows for watch in watches)
    if windows >= needed and not undecided:
        return Verdict("commit", windows)
    return Verdict("wait", windows)
