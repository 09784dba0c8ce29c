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
from asd_agent.suspicion import Suspicion


class Pipeline:
    """Scores a source against its site and keeps its state."""

    def __init__(
        self, members: Sequence[Member], site: Site, rule: AlarmRule, per_week: float
    ) -> None:
        self.hearing = Hearing(members)
        """What hears for it"""
        features = members[0].spec.features
        self._all_units = self._units = members[0].spec.pooling.units
        self._unit_samples = features.unit_samples
        self._shift_samples = features.shift_samples
        self.step_units = window_step(self._units)
        self.alpha = rule.alpha(per_week, window_step_s(members[0].spec))
        """Largest p-value of a window that counts as a hit"""
        self._judge = Judge(members, site, self.alpha)
        self._groups = members[0].groups
        self._site = site
        self._suspicion = Suspicion(site.bands)
        self._levels: deque[NDArray[np.float32]] = deque(maxlen=self._units)
        self._reasons: deque[str] = deque(maxlen=self._units)
        self._alarm = Alarm(rule)
        self._raised = False
        self._state = State.LEARNING
        self._reason = ""
        self._flaw = ""
        self._level_flaw = ""
        self._event: Event | None = None
        self._full = 0

    @property
    def clipped(self) -> bool:
        """Whether a unit of the window is distorted and may hide an anomaly."""
        return any(self._reasons)

    def interrupt(self) -> None:
        """Say that the device was lost: nothing is known until a window is whole."""
        self._state = State.NO_SIGNAL

    def widen(self, stride: int) -> None:
        """Hear only every `stride`-th unit: less work, in windows as long as before.

        A window then has fewer units and is judged by normal windows of so many
        units. These span less time, so they differ more from each other: the
        p-values are rather too large than too small.
        """
        self.hearing.stride = stride
        self._units = max(1, -(-self._all_units // stride))
        self.step_units = window_step(self._units)
        self._judge.limit(self._units)
        self._levels = deque(maxlen=self._units)
        self._reasons = deque(maxlen=self._units)
        self._forget()

    def step(self, block: Block) -> Iterator[Decision]:
        """Take samples; yield a decision for each unit that they complete.

        Until a window is whole the score is that of the units heard so far and `gap`
        is set: at the start the state stays ``learning``, after lost sound it is not
        ``normal``. Whole windows count towards an alarm twice per length of a window.
        """
        self._flaw = block.flaw
        for heard in self.hearing.hear(block):
            yield self._decide(heard)

    def _decide(self, heard: Heard) -> Decision:
        before = self._state
        if heard.gap or heard.verdict is Verdict.NO_SIGNAL:
            self._forget()
        if heard.verdict is Verdict.NO_SIGNAL:
            self._state, self._reason = State.NO_SIGNAL, heard.reason
            decision = self._decision(heard, None)
        else:
            self._remember(heard)
            decision = self._decision(heard, self._judged(heard))
        return replace(decision, changed=self._state is not before)

    def _forget(self) -> None:
        self._judge.reset()
        self._levels.clear()
        self._reasons.clear()
        self._full = 0
        self._level_flaw = ""

    def _remember(self, heard: Heard) -> None:
        self._judge.push(heard.vectors)
        self._levels.append(heard.levels)
        self._reasons.append(heard.reason)
        if self._judge.full:
            self._full += 1

    def _judged(self, heard: Heard) -> Judgement:
        judged = self._judge.judge()
        if self._full and (self._full - 1) % self.step_units == 0:
            self._count(judged, heard.end_sample)
        self._settle()
        if self._event is not None:
            score_max = max(self._event.score_max, judged.score)
            self._event = replace(self._event, score_max=score_max)
        return judged

    def _count(self, judged: Judgement, end_sample: int) -> None:
        """Let one whole window count towards the alarm."""
        levels = np.mean(self._levels, axis=0)
        self._level_flaw = self._suspicion.reason(levels)
        if self._flaw or self._level_flaw:
            return  # a fault of the microphone is no news of the machine
        self._raised = self._alarm.update(judged.p_value <= self.alpha)
        if not self._raised:
            self._event = None
        elif self._event is None:
            self._event = Event(end_sample, judged.score, self._explain(levels))

    def _settle(self) -> None:
        """Say what state follows: the microphone's first, then the machine's."""
        wrong = self._flaw or self._level_flaw
        distorted = next(filter(None, self._reasons), "")
        if self._full:
            self._reason = wrong
            if wrong:
                self._state = State.MIC_SUSPECT
            elif self._raised:
                self._state = State.ANOMALOUS
            else:
                self._state = State.MIC_SUSPECT if distorted else State.NORMAL
                # What is heard now may be good: only the window is not, yet.
                self._reason = self._reasons[-1] or ("gap" if distorted else "")
            return
        # Of a part of a window nothing is known, least of all that it is normal.
        self._reason = wrong or distorted
        if self._state is State.NORMAL:
            self._state = State.NO_SIGNAL
        if self._state in (State.NO_SIGNAL, State.MIC_SUSPECT):
            self._state = State.MIC_SUSPECT if self._reason else State.NO_SIGNAL
            self._reason = self._reason or "gap"

    def _explain(self, levels: NDArray[np.float32]) -> Explanation:
        row, distance = self._judge.nearest()
        bands = self._groups.differences(levels, self._site.bands[row])
        return Explanation(f"bank-{row:04d}", distance, bands)

    def _decision(self, heard: Heard, judged: Judgement | None) -> Decision:
        units = self._judge.count
        shift = self._shift_samples * self.hearing.stride
        anomalous = self._state is State.ANOMALOUS
        return Decision(
            end_sample=heard.end_sample,
            window_samples=self._unit_samples + max(0, units - 1) * shift,
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
            reason=self._reason,
        )


def window_step_s(spec: MemberSpec) -> float:
    """Seconds from one counted window to the next."""
    features = spec.features
    return window_step(spec.pooling.units) * features.shift_samples / features.rate_hz
