"""One engine at one source: learns the machine if need be, then judges it."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

from asd_agent.capture.chunk import Block
from asd_agent.capture.signal_health import FLOOR_DBFS, Verdict
from asd_agent.config import Config, SourceConfig
from asd_agent.engine import Engine
from asd_agent.learning import Learning
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import alarm_rule, pipeline_of, site_path
from asd_agent.update.trial import Watch

log = logging.getLogger(__name__)


class Ear:
    """Blocks in, decisions out. One thread uses it; another may make it."""

    def __init__(self, config: Config, source: SourceConfig, engine: Engine) -> None:
        self.engine = engine
        self.watch = Watch(engine.shift_s)
        """What a trial asks"""
        self.finishing = False
        """Whether what was learnt is being summed up, which may take long"""
        self._config = config
        self._source = source
        self.stride = 1
        """Only every so many units is one heard, once it judges"""
        self._grid: int | None = None
        self._work: Learning | Pipeline = self._begin()

    @property
    def learning(self) -> bool:
        """Whether it does not judge yet."""
        return isinstance(self._work, Learning)

    def widen(self, stride: int) -> None:
        """Hear only every `stride`-th unit; what is learnt is learnt of all."""
        self.stride = stride
        if isinstance(self._work, Pipeline):
            self._work.widen(stride)

    def align(self, end_sample: int) -> None:
        """Let decisions fall on the grid of another ear, one of which ended here."""
        features = self.engine.members[0].spec.features
        self._grid = end_sample - features.unit_samples

    def step(self, block: Block) -> list[Decision]:
        """Take samples; give a decision for each unit that they complete."""
        begun_s = time.perf_counter()
        decisions: list[Decision] = []
        cut = self._cut(block)
        if cut is not None:
            decisions += self._decisions(cut)
        self.watch.step(decisions, time.perf_counter() - begun_s)
        return decisions

    def interrupt(self) -> None:
        """Say that the device was lost: nothing is known until a window is whole."""
        if isinstance(self._work, Pipeline):
            self._work.interrupt()

    def finish(self) -> None:
        """Learn from what there was: the sound is at its end."""
        if isinstance(self._work, Learning):
            self._finish_learning(self._work)

    def close(self) -> None:
        """Leave off: what is half learnt is thrown away."""
        if isinstance(self._work, Learning):
            self._work.close()

    def _begin(self) -> Learning | Pipeline:
        engine, source = self.engine, self._source
        if engine.site is not None:
            return pipeline_of(self._config, engine.members, engine.site)
        log.info(
            "%s: nothing learnt yet; the first %g min are taken as normal",
            source.name,
            source.learn.minutes,
        )
        path = site_path(self._config, source, engine.manifest.id)
        return Learning(engine.members, path, source.learn.keep_bytes)

    def _cut(self, block: Block) -> Block | None:
        """Leave out samples before the grid of the other ear, once."""
        if self._grid is None:
            return block
        features = self.engine.members[0].spec.features
        skip = (self._grid - block.start) % features.shift_samples
        if block.gap:
            self._grid = None  # both ears begin again behind it
            return block
        if skip >= len(block.samples):
            return None
        self._grid = None
        return replace(block, samples=block.samples[skip:], start=block.start + skip)

    def _decisions(self, block: Block) -> Iterator[Decision]:
        work = self._work
        if isinstance(work, Pipeline):
            yield from work.step(block)
        else:
            yield from self._learn(block, work)
        self.watch.heard(work.hearing.not_finite, work.hearing.stuck)

    def _learn(self, block: Block, learning: Learning) -> Iterator[Decision]:
        for heard in learning.hear(block):
            deaf = heard.verdict is Verdict.NO_SIGNAL
            state = State.NO_SIGNAL if deaf else State.LEARNING
            reason = heard.reason or block.flaw
            yield unscored(state, heard.end_sample, reason, heard.level_dbfs)
        if learning.seconds >= self._source.learn.minutes * 60:
            self._finish_learning(learning)

    def _finish_learning(self, learning: Learning) -> None:
        members, manifest = self.engine.members, self.engine.manifest
        self.finishing = True
        now = datetime.now(timezone.utc)
        # A disk that is full must not make the agent begin to learn again and again.
        site = learning.finish(manifest.id, now, lasting=False)
        alarm = self._config.alarm
        support = learning.support(site, alarm_rule(alarm), alarm.per_week)
        log.info("%s: %s", self._source.name, support.sentences(alarm.per_week))
        self._work = pipeline_of(self._config, members, site)
        self.widen(self.stride)
        self.finishing = False


def unscored(
    state: State,
    end_sample: int,
    reason: str = "",
    level_dbfs: float = FLOOR_DBFS,
) -> Decision:
    """A decision without a score."""
    return Decision(
        end_sample=end_sample,
        window_samples=0,
        state=state,
        changed=False,
        score=None,
        threshold=None,
        p_value=None,
        windows=0,
        level_dbfs=level_dbfs,
        gap=True,
        event=None,
        reason=reason,
    )
