"""Listens to one source for ever: learns it if need be, then judges it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, is_learnt
from asd_agent.capture.chunk import Block
from asd_agent.capture.feed import Feed
from asd_agent.capture.signal_health import FLOOR_DBFS
from asd_agent.config import Config, SourceConfig
from asd_agent.errors import AsdError, SoundError
from asd_agent.hearing import Hearing
from asd_agent.learn import Learner
from asd_agent.mqtt.clock import Anchor
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import alarm_rule, open_source, pipeline_of, site_path

log = logging.getLogger(__name__)

MAX_RETRY_S = 60.0
"""Most seconds between two attempts to open a lost microphone"""
CLOCK_JUMP_S = 2.0
"""A wall clock this far from the sample counter was set, or the rate is off"""

MAX_BROKEN_S = 30.0
"""Seconds without one whole unit after which the microphone is suspect"""

Emit = Callable[["Worker", Decision, Anchor], None]


class Worker(threading.Thread):
    """One source of a running agent.

    Parameters
    ----------
    config, source
        The whole configuration, and the part that this worker serves.
    members
        The bundle's members, opened for this worker alone.
    bundle_id
        What a newly learnt site is marked with.
    emit
        Called in this thread with every decision.

    Raises
    ------
    SiteError
        What was learnt cannot be used.
    """

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        members: Sequence[Member],
        bundle_id: str,
        emit: Emit,
    ) -> None:
        super().__init__(name=f"source-{source.name}", daemon=True)
        self.source = source
        self.state = State.LEARNING
        self.windows = 0
        """Windows counted since the start or the last gap"""
        self.lost_samples = 0
        """Samples lost to a slow reader since the device was opened"""
        self.heard_s: float | None = None
        """Monotonic seconds when the newest sound came"""
        self.step_ms: float | None = None
        """Milliseconds that the newest decision took"""
        self.error: BaseException | None = None
        """What ended this worker, if it was not the end of its source"""
        self._config = config
        self._members = list(members)
        self._bundle_id = bundle_id
        self._emit = emit
        self._rate_hz = members[0].spec.features.rate_hz
        self._asked = threading.Event()
        self._counter = 0
        self._unit_past = 0
        self._anchor = self._anchor_now()
        self._learner = Learner(self._members)
        self._pipeline: Pipeline | None = None
        path = site_path(config, source, bundle_id)
        if is_learnt(path):
            site = Site.load(path, self._members)
            self._pipeline = pipeline_of(config, self._members, site)
        else:
            log.info(
                "%s: nothing learnt yet; the first %g min are taken as normal",
                source.name,
                source.learn.minutes,
            )

    def stop(self) -> None:
        """Ask the worker to end; returns at once."""
        self._asked.set()

    def run(self) -> None:
        """Listen until told to stop, or until a recording ends."""
        try:
            self._keep_listening()
        except AsdError as error:
            self.error = error
        except Exception as error:
            log.exception("%s: stopped by a fault in the software", self.source.name)
            self.error = error

    def _keep_listening(self) -> None:
        delay_s = 1.0
        while not self._asked.is_set():
            begun_s = time.monotonic()
            try:
                self._listen()
                return
            except SoundError as error:
                if self.source.recording is not None:
                    raise  # a broken file does not mend itself
                if time.monotonic() - begun_s > MAX_RETRY_S:
                    delay_s = 1.0
                log.error("%s: %s; trying again", self.source.name, error)
            self._lose()
            self._asked.wait(delay_s)
            delay_s = min(MAX_RETRY_S, delay_s * 2)

    def _lose(self) -> None:
        self._tell(_unscored(State.FAULT, self._counter))
        if self._pipeline is not None:
            self._pipeline.interrupt()

    def _listen(self) -> None:
        hearing = Hearing(self._members)
        feed = Feed(open_source(self.source), self._rate_hz)
        with closing(feed):
            for block in self._blocks(feed):
                begun_s = time.perf_counter()
                if self._pipeline is None:
                    self._learn(block, hearing)
                    continue
                for decision in self._pipeline.step(block):
                    self.step_ms = (time.perf_counter() - begun_s) * 1000
                    self._unit_past = decision.end_sample
                    self._tell(decision)
                self._mind_the_gaps()
        if self._pipeline is None and not self._asked.is_set():
            # A recording that ended early: learn from what there was.
            self._finish_learning()

    def _blocks(self, feed: Feed) -> Iterator[Block]:
        """Blocks whose counter goes on where a lost device left it."""
        offset = self._unit_past = self._counter
        reopened = offset > 0
        self._anchor = self._anchor_now()
        for block in feed.blocks():
            if self._asked.is_set():
                return
            start = block.start + offset
            yield replace(block, start=start, gap=block.gap or reopened)
            reopened = False
            self._counter = start + len(block.samples)
            self.heard_s = time.monotonic()
            self.lost_samples = feed.lost_samples
            if feed.source.live:
                self._mind_the_clock()

    def _mind_the_gaps(self) -> None:
        """Say so if sound comes, but never a whole unit without lost samples."""
        silent_s = (self._counter - self._unit_past) / self._rate_hz
        if silent_s > MAX_BROKEN_S and self.state is not State.MIC_SUSPECT:
            log.warning(
                "%s: loses samples all the time; is the machine overloaded, or the "
                "device's cable bad?",
                self.source.name,
            )
            self._tell(_unscored(State.MIC_SUSPECT, self._counter))

    def _learn(self, block: Block, hearing: Hearing) -> None:
        for heard in hearing.hear(block):
            self._learner.add(heard)
            self._tell(_unscored(State.LEARNING, heard.end_sample))
        if self._learner.seconds >= self.source.learn.minutes * 60:
            self._finish_learning()

    def _finish_learning(self) -> None:
        learner, self._learner = self._learner, Learner(self._members)
        site = learner.site(self._bundle_id, datetime.now(timezone.utc))
        site.save(site_path(self._config, self.source, self._bundle_id))
        alarm = self._config.alarm
        support = learner.support(site, alarm_rule(alarm), alarm.per_week)
        log.info("%s: %s", self.source.name, support.sentences(alarm.per_week))
        self._pipeline = pipeline_of(self._config, self._members, site)

    def _tell(self, decision: Decision) -> None:
        # A pipeline knows nothing of a fault of the device in between.
        changed = decision.state is not self.state
        decision = replace(decision, changed=changed)
        if decision.changed:
            level = logging.INFO if decision.state is State.NORMAL else logging.WARNING
            log.log(level, "%s: %s", self.source.name, decision.state.value)
        self.state = decision.state
        self.windows = decision.windows
        self._emit(self, decision, self._anchor)

    def _anchor_now(self) -> Anchor:
        return Anchor(datetime.now(timezone.utc), self._counter, self._rate_hz)

    def _mind_the_clock(self) -> None:
        """Tie the counter to the wall clock anew where the two have parted."""
        now = self._anchor_now()
        drift_s = (now.utc - self._anchor.at(self._counter)).total_seconds()
        if abs(drift_s) > CLOCK_JUMP_S:
            log.warning("%s: clock moved by %.1f s", self.source.name, drift_s)
            self._anchor = now


def _unscored(state: State, end_sample: int) -> Decision:
    return Decision(
        end_sample=end_sample,
        window_samples=0,
        state=state,
        changed=False,
        score=None,
        threshold=None,
        p_value=None,
        windows=0,
        level_dbfs=FLOOR_DBFS,
        gap=True,
        event=None,
    )
