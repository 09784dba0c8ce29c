"""How far a window is from normal, by every member of a bundle and by all as one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, SiteMember
from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SoundError
from asd_agent.hearing import Heard
from asd_agent.scoring.alarm import OVERLAP
from asd_agent.scoring.calibration import Calibration, Calibrations
from asd_agent.scoring.combine import HeldOut, joint, statistic
from asd_agent.scoring.detector import build
from asd_agent.scoring.pooling import Pool

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is said of one window, or of the least normal window of a clip."""

    score: float
    """Of one member its detector's; of several ``-log10 p``, of the smallest p-value
    or summed over the members, as the bundle says"""
    p_value: float
    """Share of normal windows (of a clip: of clips with as many windows, at most)
    expected to score at least this high"""
    threshold: float
    """Score above which the p-value is at most alpha"""
    parts: tuple[float, ...]
    """p-value by each member alone"""
    worst: int
    """Place of the member with the smallest"""
    windows: int = 1
    """Windows that were judged"""


class Scorer:
    """One member's pool, detector and calibration."""

    def __init__(self, member: Member, site: SiteMember) -> None:
        detector = member.spec.detector
        self._spec, self._size = member.spec, member.size
        self.pool = Pool(member.spec.pooling, member.size)
        self._detector = build(detector).fit(site.bank, site.independent)
        self.held_out = HeldOut(site.scores, detector.floor)
        self.calibrations = Calibrations(site.scores, detector.floor)

    def limit(self, units: int) -> None:
        """Begin anew with a pool of so many units at most."""
        spec = self._spec.pooling.model_copy(update={"units": units})
        self.pool = Pool(spec, self._size)

    def score(self) -> float:
        """Score the units in the pool."""
        return self._detector.score(self.pool.vector())

    def nearest(self) -> tuple[int, float]:
        """Row of the nearest normal window, and the distance to it."""
        return self._detector.nearest(self.pool.vector())


class Judge:
    """Judges the newest window of one source against what was learnt of it.

    A member's p-value rests on its own calibration. With several members the
    smallest of them, or their product, is a score of its own with a calibration of
    its own (`scoring.combine`). Windows that are not whole yet are judged by normal
    windows as short as they are.
    """

    def __init__(self, members: Sequence[Member], site: Site, alpha: float) -> None:
        """Fit every member's detector to its bank.

        Parameters
        ----------
        members
            All of one bundle.
        site
            What was learnt with them.
        alpha
            p-value that a threshold stands for, in (0, 1).
        """
        self.alpha = alpha
        """p-value that a threshold stands for"""
        self.units = members[0].spec.pooling.units
        """Units in a whole window"""
        self._combine = members[0].combine
        self._scorers = [Scorer(m, site.members[m.spec.name]) for m in members]
        if len(members) > 1:
            held_out = [scorer.held_out for scorer in self._scorers]
            self._calibrations = joint(held_out, self._combine)
        else:
            self._calibrations = self._scorers[0].calibrations
        lengths = range(1, self.units + 1)
        self._thresholds = [
            self._calibrations.of(units).threshold(alpha) for units in lengths
        ]
        self._worst = 0

    @property
    def count(self) -> int:
        """Units in the window now."""
        return self._scorers[0].pool.count

    @property
    def full(self) -> bool:
        """Whether a whole window has been heard."""
        return self._scorers[0].pool.full

    @property
    def calibration(self) -> Calibration:
        """What turns the score of windows as long as this one into a p-value."""
        return self._calibrations.of(self.count)

    def reset(self) -> None:
        """Forget all units, as after a gap."""
        for scorer in self._scorers:
            scorer.pool.reset()

    def limit(self, units: int) -> None:
        """Let a window have so many units from now on, and forget all that were."""
        self.units = units
        for scorer in self._scorers:
            scorer.limit(units)

    def push(self, vectors: Sequence[Array]) -> None:
        """Add one unit, a vector for each member; the oldest leaves."""
        for scorer, vector in zip(self._scorers, vectors, strict=True):
            scorer.pool.push(vector)

    def judge(self) -> Judgement:
        """Judge the units heard so far; at least one."""
        scores = [scorer.score() for scorer in self._scorers]
        parts = tuple(
            scorer.calibrations.of(self.count).p_value(score)
            for scorer, score in zip(self._scorers, scores, strict=True)
        )
        self._worst = min(range(len(parts)), key=parts.__getitem__)
        threshold = self._thresholds[self.count - 1]
        if len(parts) == 1:
            return Judgement(scores[0], parts[0], threshold, parts, self._worst)
        score = statistic(parts, self._combine)
        p_value = self.calibration.p_value(score)
        return Judgement(score, p_value, threshold, parts, self._worst)

    def nearest(self) -> tuple[int, float]:
        """Nearest normal window to the one judged last.

        Returns
        -------
        tuple
            Row of the bank, and the distance to it, by the member that found the
            window least normal.
        """
        return self._scorers[self._worst].nearest()


def window_step(units: int) -> int:
    """Units from one counted window to the next."""
    return max(1, units // OVERLAP)


def judge_clip(judge: Judge, heard: Sequence[Heard]) -> Judgement:
    """Judge a clip by its least normal window.

    Whole windows count, twice per length of a window; of a clip without any the last
    units that hang together are one window. The p-value is corrected for the number
    of windows (Bonferroni, which holds for windows that overlap too), and so is the
    threshold. Afterwards the judge holds that window: `Judge.nearest` is of it.

    Raises
    ------
    SoundError
        No unit of the clip can be the sound of a machine.
    """
    windows = _windows(heard, judge.units)
    if not windows:
        raise SoundError("the clip holds no sound that can be a machine's")
    scores = [_judge_window(judge, window).score for window in windows]
    worst = _judge_window(judge, windows[int(np.argmax(scores))])
    count = len(windows)
    return replace(
        worst,
        p_value=min(1.0, worst.p_value * count),
        threshold=judge.calibration.threshold(judge.alpha / count),
        windows=count,
    )


def _judge_window(judge: Judge, window: Sequence[Heard]) -> Judgement:
    judge.reset()
    for heard in window:
        judge.push(heard.vectors)
    return judge.judge()


def _windows(heard: Sequence[Heard], units: int) -> list[Sequence[Heard]]:
    """Whole windows of a clip, or one of the last units that hang together."""
    windows = []
    last: Sequence[Heard] = ()
    first = 0
    for past, unit in enumerate(heard, start=1):
        silent = unit.verdict is Verdict.NO_SIGNAL
        if silent or unit.gap:
            first = past if silent else past - 1
        if silent:
            continue
        last = heard[max(first, past - units) : past]
        beyond = past - first - units
        if beyond >= 0 and beyond % window_step(units) == 0:
            windows.append(last)
    return windows or ([last] if last else [])
