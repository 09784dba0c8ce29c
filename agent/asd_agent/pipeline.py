"""One source from samples to decisions; no clock, no I/O, no threads."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, SiteMember
from asd_agent.capture.chunk import Block
from asd_agent.capture.signal_health import Verdict
from asd_agent.hearing import Heard, Hearing
from asd_agent.scoring.alarm import OVERLAP, Alarm, AlarmRule
from asd_agent.scoring.calibration import Calibrations
from asd_agent.scoring.decision import Decision, Event, Explanation, State
from asd_agent.scoring.detector import build
from asd_agent.scoring.pooling import Pool


@dataclass(frozen=True, slots=True)
class Judgement:
    """Score of one window by the member that finds it least normal."""

    score: float
    p_value: float
    threshold: float
    scorer: "Scorer"


class Scorer:
    """One member's pool, detector and calibration."""

    def __init__(self, member: Member, site: SiteMember, alpha: float) -> None:
        self.pool = Pool(member.spec.pooling, member.size)
        self._detector = build(member.spec.detector).fit(site.bank)
        calibrations = Calibrations(site.scores)
        lengths = range(1, member.spec.pooling.units + 1)
        self._calibrations = [calibrations.of(units) for units in lengths]
        self._thresholds = [c.threshold(alpha) for c in self._calibrations]

    def judge(self) -> Judgement:
        """Score the units in the pool."""
        score = self._detector.score(self.pool.vector())
        length = self.pool.count - 1
        p_value = self._calibrations[length].p_value(score)
        return Judgement(score, p_value, self._thresholds[length], self)

    def nearest(self) -> tuple[int, float]:
        """Row of the nearest normal window, and the distance to it."""
        return self._detector.nearest(self.pool.vector())


class Pipeline:
    """Scores a source against its site and keeps its state."""

    def __init__(
        self, members: Sequence[Member], site: Site, rule: AlarmRule, per_week: float
    ) -> None:
        self._hearing = Hearing(members)
        features = members[0].spec.features
        self._units = members[0].spec.pooling.units
        self._unit_samples = features.unit_samples
        self._shift_samples = features.shift_samples
        self.step_units = window_step(self._units)
        self.alpha = rule.alpha(per_week, window_step_s(members[0].spec))
        """Largest p-value of a window that counts as a hit"""
        # Boole's inequality: several members have as many chances to be wrong.
        each = self.alpha / len(members)
        self._scorers = [Scorer(m, site.members[m.spec.name], each) for m in members]
        self._groups = members[0].groups
        self._site = site
        self._levels: deque[NDArray[np.float32]] = deque(maxlen=self._units)
        self._clipped: deque[bool] = deque(maxlen=self._units)
        self._alarm = Alarm(rule)
        self._state = State.LEARNING
        self._event: Event | None = None
        self._full = 0

    @property
    def clipped(self) -> bool:
        """Whether a unit of the window is clipped and may hide an anomaly."""
        return any(self._clipped)

    def interrupt(self) -> None:
        """Say that the device was lost: nothing is known until a window is whole."""
        self._state = State.NO_SIGNAL

    def step(self, block: Block) -> Iterator[Decision]:
        """Take samples; yield a decision for each unit that they complete.

        The state changes with whole windows only, twice per length of a window.
        Until the first is whole the score is that of the units heard so far,
        `gap` is set, and the state stays as it was: `learning` at the start.
        """
        for heard in self._hearing.hear(block):
            yield self._decide(heard)

    def _decide(self, heard: Heard) -> Decision:
        before = self._state
        if heard.gap or heard.verdict is Verdict.NO_SIGNAL:
            self._forget()
        if heard.verdict is Verdict.NO_SIGNAL:
            self._state = State.NO_SIGNAL
            decision = self._decision(heard, None)
        else:
            self._remember(heard)
            decision = self._decision(heard, self._judge(heard))
        return replace(decision, changed=self._state is not before)

    def _forget(self) -> None:
        for scorer in self._scorers:
            scorer.pool.reset()
        self._levels.clear()
        self._clipped.clear()
        self._full = 0

    def _remember(self, heard: Heard) -> None:
        for scorer, vector in zip(self._scorers, heard.vectors, strict=True):
            scorer.pool.push(vector)
        self._levels.append(heard.levels)
        self._clipped.append(heard.verdict is Verdict.CLIPPED)
        if self._scorers[0].pool.full:
            self._full += 1

    def _judge(self, heard: Heard) -> Judgement:
        worst = min((s.judge() for s in self._scorers), key=lambda j: j.p_value)
        p_value = min(1.0, worst.p_value * len(self._scorers))
        worst = replace(worst, p_value=p_value)
        if self._full and (self._full - 1) % self.step_units == 0:
            self._count(worst, heard.end_sample)
        if self._event is not None:
            score_max = max(self._event.score_max, worst.score)
            self._event = replace(self._event, score_max=score_max)
        return worst

    def _count(self, worst: Judgement, end_sample: int) -> None:
        """Let one whole window count towards the alarm."""
        if not self._alarm.update(worst.p_value <= self.alpha):
            self._event = None
            self._state = State.MIC_SUSPECT if self.clipped else State.NORMAL
            return
        if self._event is None:
            self._event = Event(end_sample, worst.score, self._explain(worst))
        self._state = State.ANOMALOUS

    def _explain(self, worst: Judgement) -> Explanation:
        row, distance = worst.scorer.nearest()
        window = np.mean(self._levels, axis=0)
        bands = self._groups.differences(window, self._site.bands[row])
        return Explanation(f"bank-{row:04d}", distance, bands)

    def _decision(self, heard: Heard, judged: Judgement | None) -> Decision:
        units = self._scorers[0].pool.count
        anomalous = self._state is State.ANOMALOUS
        return Decision(
            end_sample=heard.end_sample,
            window_samples=self._unit_samples + max(0, units - 1) * self._shift_samples,
            state=self._state,
            changed=False,
            score=judged.score if judged else None,
            threshold=judged.threshold if judged else None,
            p_value=judged.p_value if judged else None,
            windows=-(-self._full // self.step_units),
            level_dbfs=heard.level_dbfs,
            gap=units < self._units,
            event=self._event if anomalous else None,
            spectrum=self._groups.spectrum(heard.levels) if judged else None,
        )


def window_step(units: int) -> int:
    """Units from one counted window to the next."""
    return max(1, units // OVERLAP)


def window_step_s(spec: MemberSpec) -> float:
    """Seconds from one counted window to the next."""
    features = spec.features
    return window_step(spec.pooling.units) * features.shift_samples / features.rate_hz
