"""One source from samples to decisions; no clock, no I/O, no threads."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Block
from asd_agent.capture.signal_health import Verdict
from asd_agent.hearing import Heard, Hearing
from asd_agent.judge import Judge, Judgement, window_step
from asd_agent.scoring.alarm import Alarm, AlarmRule
from asd_agent.scoring.decision import Decision, Event, Explanation, State


class Pipeline:
    """Scores a source against its site and keeps its state."""

    def __init__(
        self, members: Sequence[Member], site: Site, rule: AlarmRule, per_week: float
    ) -> None:
        self.hearing = Hearing(members)
        """What hears for it"""
        features = members[0].spec.features
        self._units = members[0].spec.pooling.units
        self._unit_samples = features.unit_samples
        self._shift_samples = features.shift_samples
        self.step_units = window_step(self._units)
        self.alpha = rule.alpha(per_week, window_step_s(members[0].spec))
        """Largest p-value of a window that counts as a hit"""
        self._judge = Judge(members, site, self.alpha)
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
        for heard in self.hearing.hear(block):
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
            decision = self._decision(heard, self._judged(heard))
        return replace(decision, changed=self._state is not before)

    def _forget(self) -> None:
        self._judge.reset()
        self._levels.clear()
        self._clipped.clear()
        self._full = 0

    def _remember(self, heard: Heard) -> None:
        self._judge.push(heard.vectors)
        self._levels.append(heard.levels)
        self._clipped.append(heard.verdict is Verdict.CLIPPED)
        if self._judge.full:
            self._full += 1

    def _judged(self, heard: Heard) -> Judgement:
        judged = self._judge.judge()
        if self._full and (self._full - 1) % self.step_units == 0:
            self._count(judged, heard.end_sample)
        if self._event is not None:
            score_max = max(self._event.score_max, judged.score)
            self._event = replace(self._event, score_max=score_max)
        return judged

    def _count(self, judged: Judgement, end_sample: int) -> None:
        """Let one whole window count towards the alarm."""
        if not self._alarm.update(judged.p_value <= self.alpha):
            self._event = None
            self._state = State.MIC_SUSPECT if self.clipped else State.NORMAL
            return
        if self._event is None:
            self._event = Event(end_sample, judged.score, self._explain())
        self._state = State.ANOMALOUS

    def _explain(self) -> Explanation:
        row, distance = self._judge.nearest()
        window = np.mean(self._levels, axis=0)
        bands = self._groups.differences(window, self._site.bands[row])
        return Explanation(f"bank-{row:04d}", distance, bands)

    def _decision(self, heard: Heard, judged: Judgement | None) -> Decision:
        units = self._judge.count
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


def window_step_s(spec: MemberSpec) -> float:
    """Seconds from one counted window to the next."""
    features = spec.features
    return window_step(spec.pooling.units) * features.shift_samples / features.rate_hz
