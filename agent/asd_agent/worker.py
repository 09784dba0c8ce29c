"""Listens to one source for ever, by the engine of one bundle after another."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from asd_agent.account import Account, Cover
from asd_agent.bundle.manifest import Manifest
from asd_agent.capture.chunk import Block
from asd_agent.capture.feed import Feed
from asd_agent.config import Config, SourceConfig
from asd_agent.coverage import Coverage
from asd_agent.ear import Ear, unscored
from asd_agent.ears import Ears
from asd_agent.errors import AsdError, SoundError
from asd_agent.judge import window_step
from asd_agent.load import Load
from asd_agent.mqtt.clock import Anchor
from asd_agent.mqtt.quiet import Quiet
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import open_source
from asd_agent.timeline import Timeline
from asd_agent.update.trial import Watch

log = logging.getLogger(__name__)

MAX_RETRY_S = 3.0
"""Most seconds between two attempts to open a lost microphone: it is heard again
within ten seconds of its return"""
BROKEN_UNITS = 2.0
"""Sound of so many units without a whole one is broken all the time"""

Emit = Callable[["Worker", Decision, Anchor], None]
Hear = Callable[[str, Block, int], None]


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
    cover
        Called with what became of the samples.
    hear
        Called with every block before it is judged: name of the source, the block,
        samples a second.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        source: SourceConfig,
        ear: Ear,
        emit: Emit,
        *,
        cover: Cover | None = None,
        hear: Hear | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name=f"source-{source.name}", daemon=True)
        self.source = source
        self.state = State.LEARNING
        self.newest: Decision | None = None
        """The newest decision"""
        self.windows = 0
        """Windows counted since the start or the last gap"""
        self.scored_windows = 0
        """Windows counted since the start of the agent"""
        self.lost_samples = 0
        """Samples lost because this worker was too slow, since the start"""
        self.dropouts = 0
        """Times that the source itself lost samples, since the start"""
        self.reopened = 0
        """Times that the source was lost and opened again"""
        self.heard_s: float | None = None
        """Monotonic seconds when the newest sound came"""
        self.step_ms: float | None = None
        """Milliseconds that the newest decision took"""
        self.beats = 0
        """Rises whenever this worker has got on, with or without sound"""
        self.error: BaseException | None = None
        """What ended this worker, if it was not the end of its source"""
        self.load = Load()
        """How much of the time the work takes"""
        self._emit = emit
        self._hear = hear
        self._clock = clock
        self._ears = Ears(ear, source.name, config.alarm.raise_.n)
        self._busy_s: float | None = None
        self._unused = 0
        self._timeline = Timeline(source.name, ear.engine.rate_hz, clock)
        self._account = Account(source.name, self._timeline, cover)
        self._asked = threading.Event()
        self._quiet = Quiet(clock)

    @property
    def coverage(self) -> Coverage:
        """What became of every sample."""
        return self._account.coverage

    @property
    def manifest(self) -> Manifest:
        """Of the bundle that decides now."""
        return self._ears.active.engine.manifest

    @property
    def rate_hz(self) -> int:
        """Samples a second of the sample counter."""
        return self._timeline.rate_hz

    @property
    def shift_s(self) -> float:
        """Seconds from one decision to the next."""
        return self._ears.active.engine.shift_s * self.load.stride

    @property
    def windows_dropped(self) -> int:
        """Windows not scored since the start because this worker was too slow."""
        engine = self._ears.active.engine
        units = window_step(engine.members[0].spec.pooling.units)
        return round(self.lost_samples / (units * engine.shift_s * self.rate_hz))

    @property
    def busy_s(self) -> float | None:
        """Monotonic seconds when the step under way began; None: it may take long."""
        return None if self._ears.active.finishing else self._busy_s

    @property
    def finishing(self) -> bool:
        """Whether what was learnt is being summed up, which may take long."""
        return self._ears.active.finishing

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
            self._account.end()
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
            heard_s = self.heard_s
            try:
                if self._listen():
                    continue
                return
            except SoundError as error:
                if self.source.recording is not None:
                    raise  # a broken file does not mend itself
                text = "%s: %s; trying again every %g s"
                self._quiet.say("lost", text, self.source.name, str(error), MAX_RETRY_S)
            if self.heard_s != heard_s:
                delay_s = 1.0
                self.reopened += 1
            self._lose()
            self._asked.wait(delay_s)
            delay_s = min(MAX_RETRY_S, delay_s + 1)

    def _lose(self) -> None:
        self._account.away()
        self._tell(unscored(State.FAULT, self._timeline.counter, "lost"))
        self._ears.interrupt()
        self.beats += 1

    def _listen(self) -> bool:
        """Listen to the source until it ends; True: again, at another rate."""
        feed = Feed(open_source(self.source), self._ears.rate_hz)
        with closing(feed):
            self._account.begin(feed.rate_hz)
            lost = overruns = dropouts = 0
            for heard in feed.blocks():
                if self._asked.is_set():
                    return False
                self._ears.obey()
                block = self._timeline.place(heard, live=feed.source.live)
                if self._ears.rate_hz != feed.rate_hz:
                    # A recording begins anew, as it does for every feed.
                    return True
                self._step(block, feed.source.live)
                if block.gap:
                    slow = feed.overruns > overruns
                    self._account.missed(block, "overload" if slow else "dropout")
                self.lost_samples += feed.lost_samples - lost
                if feed.overflows > dropouts:
                    self.dropouts += feed.overflows - dropouts
                    text = "%s: the device has lost sound, %d times so far"
                    self._quiet.say("dropout", text, self.source.name, self.dropouts)
                self._ears.active.watch.overruns += feed.overruns - overruns
                lost, overruns = feed.lost_samples, feed.overruns
                dropouts = feed.overflows
        if not self._asked.is_set():
            # A recording that ended early: learn from what there was.
            self._ears.finish()
        return False

    def _step(self, block: Block, live: bool) -> None:
        began_s = self._clock()
        self.heard_s = self._busy_s = began_s
        learning = self._ears.active.learning
        if self._hear is not None:
            self._hear(self.source.name, block, self.rate_hz)
        self._unused += len(block.samples)
        for decision in self._ears.step(block):
            self._unused = 0
            self.step_ms = (self._clock() - began_s) * 1000
            self._take(decision)
        self._busy_s = None
        self.beats += 1
        self._mind_the_gaps()
        if live and learning == self._ears.active.learning:
            self._mind_the_load(len(block.samples) / self.rate_hz, began_s)

    def _take(self, decision: Decision) -> None:
        unit = self._ears.active.engine.members[0].spec.features.unit_samples
        missing = "overload" if self.load.degraded else "cut"
        self._account.decided(decision, unit, missing)
        self.scored_windows += decision.windows > self.windows
        self._tell(decision)

    def _mind_the_gaps(self) -> None:
        """Say so if sound comes, but never a whole unit without lost samples."""
        features = self._ears.active.engine.members[0].spec.features
        shift = features.shift_samples * self.load.stride
        broken = self._unused > BROKEN_UNITS * (features.unit_samples + shift)
        if broken and self.state not in (State.MIC_SUSPECT, State.FAULT):
            log.warning(
                "%s: loses samples all the time; is the machine overloaded, or the "
                "device's cable bad?",
                self.source.name,
            )
            counter = self._timeline.counter
            self._tell(unscored(State.MIC_SUSPECT, counter, "dropout"))

    def _mind_the_load(self, sound_s: float, began_s: float) -> None:
        """Hear less where the work does not keep up with the sound, or more again."""
        now_s, share = self._clock(), self.load.share or 0.0
        if not self.load.push(sound_s, now_s - began_s, now_s):
            return
        self._ears.widen(self.load.stride)
        log.warning("%s: %s", self.source.name, self.load.sentence(share))

    def _tell(self, decision: Decision) -> None:
        # A pipeline knows nothing of a fault of the device in between.
        changed = decision.state is not self.state
        decision = replace(decision, changed=changed)
        if decision.changed:
            level = logging.INFO if decision.state is State.NORMAL else logging.WARNING
            why = f" ({decision.reason})" if decision.reason else ""
            log.log(level, "%s: %s%s", self.source.name, decision.state.value, why)
        self.state = decision.state
        self.windows = decision.windows
        self.newest = decision
        self._emit(self, decision, self._timeline.anchor)
