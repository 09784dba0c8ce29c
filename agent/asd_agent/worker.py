"""Listens to one source for ever, by the engine of one bundle after another."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone

from asd_agent.bundle.manifest import Manifest
from asd_agent.capture.chunk import Block
from asd_agent.capture.feed import Feed
from asd_agent.config import Config, SourceConfig
from asd_agent.ear import Ear, unscored
from asd_agent.ears import Ears
from asd_agent.errors import AsdError, SoundError
from asd_agent.mqtt.clock import Anchor
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import open_source
from asd_agent.update.trial import Watch

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
    ear
        What hears and judges first; made for this worker alone.
    emit
        Called in this thread with every decision.
    """

    def __init__(
        self, config: Config, source: SourceConfig, ear: Ear, emit: Emit
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
        self._emit = emit
        self._ears = Ears(ear, source.name, config.alarm.raise_.n)
        self._busy_s: float | None = None
        self._rate_hz = ear.engine.rate_hz
        self._asked = threading.Event()
        self._counter = 0
        self._unit_past = 0
        self._anchor = self._anchor_now()

    @property
    def manifest(self) -> Manifest:
        """Of the bundle that decides now."""
        return self._ears.active.engine.manifest

    @property
    def busy_s(self) -> float | None:
        """Monotonic seconds when the step under way began; None: it may take long."""
        return None if self._ears.active.finishing else self._busy_s

    @property
    def watch(self) -> Watch:
        """What the ear that was switched to last has seen, for a trial."""
        return self._ears.watch

    def switch(self, ear: Ear, *, at_once: bool = False) -> None:
        """Let another ear take over; called by another thread, returns at once.

        The old one decides until the new one has heard a whole window, and is kept
        until `settle`. If it is switched back to it goes on where it was.

        Parameters
        ----------
        at_once
            Do not wait for a whole window: what decides now is no good.
        """
        self._ears.switch(ear, at_once=at_once)

    def settle(self) -> None:
        """Say that what was switched to stays: the ear before it is let go."""
        self._ears.settle()

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
        finally:
            self._ears.close()

    def _keep_listening(self) -> None:
        delay_s = 1.0
        while not self._asked.is_set():
            begun_s = time.monotonic()
            try:
                if self._listen():
                    continue
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
        self._tell(unscored(State.FAULT, self._counter))
        self._ears.interrupt()

    def _listen(self) -> bool:
        """Listen to the source until it ends; True: again, at another rate."""
        feed = Feed(open_source(self.source), self._ears.rate_hz)
        with closing(feed):
            for block in self._blocks(feed):
                self._ears.obey()
                if self._ears.rate_hz != feed.rate_hz:
                    # A recording begins anew, as it does for every feed.
                    return True
                self._step(block)
        if not self._asked.is_set():
            # A recording that ended early: learn from what there was.
            self._ears.finish()
        return False

    def _step(self, block: Block) -> None:
        begun_s = time.perf_counter()
        self._busy_s = time.monotonic()
        for decision in self._ears.step(block):
            self.step_ms = (time.perf_counter() - begun_s) * 1000
            self._unit_past = decision.end_sample
            self._tell(decision)
        self._busy_s = None
        self._mind_the_gaps()

    def _blocks(self, feed: Feed) -> Iterator[Block]:
        """Blocks whose counter goes on where a lost device left it."""
        self._counter = self._counter * feed.rate_hz // self._rate_hz
        self._rate_hz = feed.rate_hz
        offset = self._unit_past = self._counter
        reopened = offset > 0
        overruns = 0
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
            self._ears.active.watch.overruns += feed.overruns - overruns
            overruns = feed.overruns
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
            self._tell(unscored(State.MIC_SUSPECT, self._counter))

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
