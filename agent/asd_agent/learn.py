"""Learn a machine on site: normal sound becomes a bank and a calibration.

Every window of the sound enters the bank. The calibration scores come from
windows that do not overlap, each scored against a bank without the fifth of the
sound that it lies in (split-conformal with the parts in turn; Vovk, "Cross-
conformal predictors", 2015): no sound is spent, and none judges itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, SiteInfo, SiteMember
from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SiteError
from asd_agent.hearing import Heard
from asd_agent.pipeline import window_step
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.scoring.detector import build
from asd_agent.scoring.pooling import Pool

Array = NDArray[np.float32]

FOLDS = 5
"""Parts that the sound is cut into for the calibration"""
MAX_BANK = 10_000
"""Windows in a bank; of longer sound only every second, third... is kept"""


@dataclass(frozen=True, slots=True)
class Window:
    """Units ``[first, past)`` of one unbroken segment of sound."""

    segment: int
    first: int
    past: int


@dataclass(frozen=True, slots=True)
class Support:
    """What the learnt sound can and cannot carry."""

    seconds: float
    """Seconds of sound that were learnt from"""
    windows: int
    """Windows that do not overlap, which the calibration rests on"""
    per_week: float
    """Fewest false alarms a week that can be promised without extrapolation"""
    needed_s: float
    """Seconds of sound that the configured budget would need"""

    def sentences(self, budget: float) -> str:
        """Say it to a person whose budget is so many false alarms a week."""
        heard = (
            f"learnt {_span(self.seconds)} of sound, "
            f"{self.windows} windows that do not overlap"
        )
        if self.per_week <= budget:
            return f"{heard}; they support the budget of {budget:g} alarms a week."
        return (
            f"{heard}; they support {self.per_week:,.3g} false alarms a week. "
            f"The budget of {budget:g} a week rests on an extrapolated tail until "
            f"{_span(self.needed_s)} of normal sound are learnt."
        )


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Learner:
    """Gathers what is heard of a machine that runs as it should."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._features = members[0].spec.features
        self._units = members[0].spec.pooling.units
        self._segments: list[list[Heard]] = []
        self._broken = True

    def add(self, heard: Heard) -> None:
        """Take one unit; a gap or silence begins a new segment."""
        if heard.verdict is Verdict.NO_SIGNAL:
            self._broken = True
            return
        if heard.gap or self._broken:
            self._segments.append([])
        self._segments[-1].append(heard)
        self._broken = False

    def end_segment(self) -> None:
        """Say that what follows does not continue what was heard, as a new file."""
        self._broken = True

    @property
    def seconds(self) -> float:
        """Seconds of sound heard so far."""
        shift = self._features.shift_samples
        extra = self._features.unit_samples - shift
        samples = sum(len(s) * shift + extra for s in self._segments)
        return samples / self._features.rate_hz

    def site(self, bundle: str, now: datetime) -> Site:
        """Build the bank and the calibration.

        Raises
        ------
        SiteError
            There is less sound than two windows.
        """
        held = self._windows(self._units)
        if len(held) < 2:
            raise SiteError(
                f"{self.seconds:.1f} s of usable sound are too little: two windows of "
                f"{self._window_s:.1f} s, or two recordings, are the least. "
                "Learn from more of it"
            )
        kept = self._windows(1)
        kept = kept[:: -(-len(kept) // MAX_BANK)]
        free = [
            _free_of(kept, held[part.start : part.stop]) for part in _parts(len(held))
        ]
        members = {
            member.spec.name: self._member(i, member, kept, held, free)
            for i, member in enumerate(self._members)
        }
        models = {m.spec.name: m.model_sha256 for m in self._members}
        info = SiteInfo(bundle, models, now.isoformat(timespec="seconds"), self.seconds)
        return Site(info, self._bands(kept), members)

    def support(self, site: Site, rule: AlarmRule, per_week: float) -> Support:
        """Say what `site` can carry of a budget of false alarms."""
        step = window_step(self._units)
        step_s = step * self._features.shift_samples / self._features.rate_hz
        windows = len(next(iter(site.members.values())).scores)
        # Boole's inequality, as in the pipeline: each member has its share.
        members = len(self._members)
        needed = members / rule.alpha(per_week, step_s) - 1
        return Support(
            seconds=self.seconds,
            windows=windows,
            per_week=rule.alarms_per_week(min(1, members / (windows + 1)), step_s),
            needed_s=needed
            * self._units
            * self._features.shift_samples
            / self._features.rate_hz,
        )

    @property
    def _window_s(self) -> float:
        samples = (
            self._features.unit_samples
            + (self._units - 1) * self._features.shift_samples
        )
        return samples / self._features.rate_hz

    def _windows(self, step: int) -> list[Window]:
        """Whole windows at every `step` units; of a short segment all its units."""
        found = []
        for i, segment in enumerate(self._segments):
            size = min(self._units, len(segment))
            starts = range(0, len(segment) - size + 1, step)
            found += [Window(i, first, first + size) for first in starts]
        return found

    def _member(
        self,
        index: int,
        member: Member,
        kept: list[Window],
        held: list[Window],
        free: list[NDArray[np.bool_]],
    ) -> SiteMember:
        bank = self._pooled(index, member, kept)
        queries = self._pooled(index, member, held)
        scores = []
        for part, mask in zip(_parts(len(held)), free, strict=True):
            detector = build(member.spec.detector).fit(bank[mask])
            scores += [detector.score(queries[i]) for i in part]
        return SiteMember(bank, np.array(scores, np.float32))

    def _pooled(self, index: int, member: Member, windows: list[Window]) -> Array:
        """Pooled vectors of windows, shape ``(windows, pooled_size)``."""
        wanted = {(w.segment, w.past): i for i, w in enumerate(windows)}
        pooled = np.zeros((len(windows), member.pooled_size), np.float32)
        for number, segment in enumerate(self._segments):
            pool = Pool(member.spec.pooling, member.size)
            for past, heard in enumerate(segment, start=1):
                pool.push(heard.vectors[index])
                row = wanted.get((number, past))
                if row is not None:
                    pooled[row] = pool.vector()
        return pooled

    def _bands(self, windows: list[Window]) -> Array:
        """Mean levels of windows, decibel, shape ``(windows, groups)``."""
        segments = [np.array([heard.levels for heard in s]) for s in self._segments]
        means = [segments[w.segment][w.first : w.past].mean(axis=0) for w in windows]
        return np.array(means, np.float32)


def _parts(count: int) -> list[range]:
    """Cut so many windows into runs of neighbours, at most `FOLDS` of them."""
    folds = min(FOLDS, count)
    edges = [i * count // folds for i in range(folds + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def _free_of(windows: list[Window], held: Sequence[Window]) -> NDArray[np.bool_]:
    """Which windows share no unit with a run of neighbours, shape ``(windows,)``."""
    first = held[0].segment, held[0].first
    past = held[-1].segment, held[-1].past
    return np.array(
        [(w.segment, w.past) <= first or (w.segment, w.first) >= past for w in windows]
    )
