"""The account of one source: where its sound lies in time, and what became of it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from asd_agent.capture.chunk import Block
from asd_agent.coverage import Coverage, Span
from asd_agent.scoring.decision import Decision
from asd_agent.timeline import Timeline

Cover = Callable[[str, datetime, int, Sequence[Span]], None]
"""Takes the name of a source, when some samples ended, how many of them are a second,
and what became of them"""


class Account:
    """Keeps the timeline of a source and its coverage together.

    Parameters
    ----------
    name
        Of the source.
    timeline
        At its start.
    cover
        Told of every sample, once; None: nobody is.
    """

    def __init__(self, name: str, timeline: Timeline, cover: Cover | None) -> None:
        self.timeline = timeline
        self.coverage = Coverage()
        self._name = name
        self._cover = cover
        self._reopened = False

    def begin(self, rate_hz: int) -> None:
        """Go on with another feed."""
        self.end()
        self._reopened = self.timeline.counter > 0
        self.timeline.begin(rate_hz)
        self.coverage.rebase(self.timeline.counter)

    def decided(self, decision: Decision, unit_samples: int, missing: str) -> None:
        """Take a unit; see `Coverage.decided`."""
        self._tell(self.coverage.decided(decision, unit_samples, missing))

    def missed(self, block: Block, reason: str) -> None:
        """Take what was lost before a block, and the block, which is given up."""
        if self._reopened:
            self._reopened, reason = False, "lost"
        past = block.start + len(block.samples)
        self._tell(self.coverage.broken(past, reason))

    def away(self) -> None:
        """Take the time since the newest sound: the device gives none."""
        self.timeline.pass_by()
        self._tell(self.coverage.broken(self.timeline.counter, "lost"))

    def end(self) -> None:
        """Take what is left, which is shorter than a unit."""
        self._tell(self.coverage.broken(self.timeline.counter, "cut"))

    def _tell(self, spans: Sequence[Span]) -> None:
        if spans and self._cover is not None:
            timeline = self.timeline
            when = timeline.anchor.at(self.coverage.past)
            self._cover(self._name, when, timeline.rate_hz, spans)
