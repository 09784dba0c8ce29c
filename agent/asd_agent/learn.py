"""Learn a machine on site: normal sound becomes a bank and a calibration.

Every window of the sound enters the bank. The calibration scores come from
windows that do not overlap, each scored against a bank without its surroundings,
its own and a further window's length on both sides (split-conformal with the
parts in turn; Vovk, "Cross-conformal predictors", 2015): no sound is spent, and
none is judged by itself or by what was heard in the same moment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, SiteInfo, SiteMember, without_network
from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SiteError
from asd_agent.hearing import Heard
from asd_agent.pipeline import window_step_s
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.scoring.calibration import Calibrations
from asd_agent.scoring.detector import build
from asd_agent.scoring.pooling import Pool

Array = NDArray[np.float32]

FOLDS = 50
"""Banks that are fitted for the calibration; of fewer windows one for each"""
MAX_PARTIAL = 500
"""Windows that are scored at every length, not at their full one alone"""
MAX_BANK = 10_000
"""Windows in a bank; of longer sound only every second, third... is kept"""


@dataclass(frozen=True, slots=True)
class Window:
    """Units ``[first, past)`` of one unbroken segment of sound."""

    segment: int
    first: int
    past: int


@dataclass(frozen=True, slots=True)
class Fold:
    """What some windows that are held out are scored with."""

    free: NDArray[np.bool_]
    """Windows of the bank that are away from all of them, shape ``(kept,)``"""
    independent: int
    """Windows among these that do not overlap"""


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
            f"{heard}; alone they promise no fewer than {_count(self.per_week)} "
            f"false alarms a week. The budget of {budget:g} rests on an extrapolated "
            f"tail until {_span(self.needed_s)} of normal sound are learnt."
        )


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


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
        self._ended = True

    def add(self, heard: Heard) -> None:
        """Take one unit; a gap or silence begins a new segment."""
        if heard.verdict is Verdict.NO_SIGNAL:
            self._broken = True
            return
        if heard.gap or self._broken:
            self._drop_fragment()
            self._segments.append([])
        self._segments[-1].append(heard)
        self._broken = self._ended = False

    def end_segment(self) -> None:
        """Say that a recording is over: what follows does not continue it."""
        self._broken = self._ended = True

    def _drop_fragment(self) -> None:
        """Forget the newest segment if a gap cut it short of a window.

        A recording that is shorter counts as a window of its own: files to be
        judged will be as short. A fragment of a stream is only a worse window.
        """
        if not self._ended and len(self._segments[-1]) < self._units:
            self._segments.pop()

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
        self._drop_fragment()
        self.end_segment()
        held = self._windows(self._units)
        if len(held) < 2:
            raise SiteError(
                f"{self.seconds:.1f} s of usable sound are too little: two windows of "
                f"{self._window_s:.1f} s, or two recordings, are the least. "
                "Learn from more of it"
            )
        kept = self._windows(1)
        kept = kept[:: -(-len(kept) // MAX_BANK)]
        folds = [
            Fold(
                _free_of(kept, held[fold::FOLDS], self._units),
                max(1, int(_free_of(held, held[fold::FOLDS], self._units).sum())),
            )
            for fold in range(min(FOLDS, len(held)))
        ]
        members = {
            member.spec.name: self._learnt(i, member, kept, held, folds)
            for i, member in enumerate(self._members)
        }
        models = {m.spec.name: m.model_sha256 for m in self._members}
        ways = {m.spec.name: without_network(m.spec) for m in self._members}
        learnt = now.isoformat(timespec="seconds")
        info = SiteInfo(bundle, models, learnt, self.seconds, ways)
        return Site(info, self._bands(kept), members)

    def support(self, site: Site, rule: AlarmRule, per_week: float) -> Support:
        """Say what `site` can carry of a budget of false alarms."""
        step_s = window_step_s(self._members[0].spec)
        scores = next(iter(site.members.values())).scores
        windows = len(Calibrations(scores).of(self._units).scores)
        needed = 1 / rule.alpha(per_week, step_s) - 1
        return Support(
            seconds=self.seconds,
            windows=windows,
            per_week=rule.alarms_per_week(1 / (windows + 1), step_s),
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

    def _learnt(
        self,
        index: int,
        member: Member,
        kept: list[Window],
        held: list[Window],
        folds: list[Fold],
    ) -> SiteMember:
        bank = self._pooled(index, member, kept)
        scores = np.full((len(held), self._units), np.nan, np.float32)
        every = -(-len(held) // MAX_PARTIAL)
        for first, fold in enumerate(folds):
            detector = build(member.spec.detector)
            detector.fit(bank[fold.free], fold.independent)
            for row in range(first, len(held), FOLDS):
                window = held[row]
                for units, vector in self._growing(index, member, window):
                    if units == window.past - window.first or row % every == 0:
                        scores[row, units - 1] = detector.score(vector)
        return SiteMember(bank, scores)

    def _growing(
        self, index: int, member: Member, window: Window
    ) -> Iterator[tuple[int, Array]]:
        """Pooled vectors of a window's first unit, first two, and so on."""
        pool = Pool(member.spec.pooling, member.size)
        for heard in self._segments[window.segment][window.first : window.past]:
            pool.push(heard.vectors[index])
            yield pool.count, pool.vector()

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


def _free_of(
    windows: Sequence[Window], held: Sequence[Window], guard: int
) -> NDArray[np.bool_]:
    """Which windows are `guard` units or more away from all that are held out.

    Where that leaves none, as with two windows, it is enough to share no unit.
    """
    segment = np.array([w.segment for w in windows])
    first = np.array([w.first for w in windows])
    past = np.array([w.past for w in windows])
    free = np.ones(len(windows), np.bool_)
    for w in held:
        near = (first < w.past + guard) & (past > w.first - guard)
        free &= ~((segment == w.segment) & near)
    return free if guard == 0 or free.any() else _free_of(windows, held, 0)
