"""The ears of one source: which one decides, which one comes, which one is kept.

While the ear of another bundle has not heard a whole window the old one goes on
deciding and both hear: no decision is lost, and they follow one another as before.
The old ear is kept until the new bundle is settled; where the new one raises an
exception the old one is there at once.

`switch`, `settle` and `watch` are for other threads; all else belongs to the
one that listens.
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from asd_agent.capture.chunk import Block
from asd_agent.ear import Ear
from asd_agent.errors import AsdError
from asd_agent.scoring.decision import Decision, State
from asd_agent.update.trial import Watch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    ear: Ear
    at_once: bool


class Ears:
    """Blocks in, decisions out, through a switch of bundles.

    Parameters
    ----------
    ear
        That of the bundle that runs first.
    name
        Of the source, for the log.
    patience
        Windows that a new ear may count before it must have joined in an alarm of the
        old one: so no alarm seems cleared because the bundle was switched.
    """

    def __init__(self, ear: Ear, name: str, patience: int) -> None:
        self.active = ear
        """What decides"""
        self._name = name
        self._patience = patience
        self._state = State.LEARNING
        self._end_sample: int | None = None
        self._coming: Ear | None = None
        self._kept: Ear | None = None
        self._deaf = False
        self._stride = 1
        self._settled = False
        self._lock = threading.Lock()
        self._newest = ear
        self._asked: _Asked | None = None
        self._asked_to_settle = False

    @property
    def rate_hz(self) -> int:
        """Hertz that a block must have."""
        return self.active.engine.rate_hz

    @property
    def watch(self) -> Watch:
        """What the ear that was switched to last has seen, for a trial."""
        return self._newest.watch

    def switch(self, ear: Ear, *, at_once: bool = False) -> None:
        """Let another ear take over, with the next block.

        Parameters
        ----------
        at_once
            Do not wait until it has heard a whole window: what decides is no good.
        """
        with self._lock:
            self._newest = ear
            self._asked = _Asked(ear, at_once)
            self._asked_to_settle = False

    def settle(self) -> None:
        """Say that what was switched to stays: what was before it is let go."""
        with self._lock:
            self._asked_to_settle = True

    def obey(self) -> None:
        """Do what was asked for; call it before each block: `rate_hz` may change."""
        with self._lock:
            asked, self._asked = self._asked, None
            settle, self._asked_to_settle = self._asked_to_settle, False
        if asked is not None:
            self._settled = False
            self._take(asked)
        if settle:
            self._settled = True
            self._let_go()

    def widen(self, stride: int) -> None:
        """Hear only every `stride`-th unit, by this ear and those that follow it."""
        self._stride = stride
        self.active.widen(stride)

    def interrupt(self) -> None:
        """Say that the device was lost: nothing is known until a window is whole."""
        for ear in (self.active, self._coming):
            if ear is not None:
                ear.interrupt()

    def finish(self) -> None:
        """Say that the sound is at its end."""
        self.active.finish()

    def close(self) -> None:
        """Leave off: what is half learnt is thrown away."""
        self._let_go()
        self.active.close()

    def step(self, block: Block) -> Iterator[Decision]:
        """Take samples at `rate_hz`; yield a decision for each unit.

        While one is yielded `active` is the ear that made it.
        """
        if block.gap:
            self._end_sample = None
        coming, fresh = self._coming, self._hear_coming(block)
        # Before the old ear has heard the block: its state is that of the block before.
        first = next((d for d in fresh if self._may_take_over(d)), None)
        for decision in self._hear(block):
            if first is None or decision.end_sample < first.end_sample:
                yield self._noted(decision)
        if first is None or coming is None:
            return
        self._become(coming)
        for decision in fresh:
            if decision.end_sample >= first.end_sample:
                yield self._noted(decision)

    def _noted(self, decision: Decision) -> Decision:
        self._state, self._end_sample = decision.state, decision.end_sample
        return decision

    def _may_take_over(self, decision: Decision) -> bool:
        """Whether the coming ear may decide from this decision on."""
        if decision.gap:
            return False
        if self._state is not State.ANOMALOUS or decision.state is State.ANOMALOUS:
            return True
        return decision.windows >= self._patience

    def _take(self, asked: _Asked) -> None:
        ear, self._coming = asked.ear, None
        if ear is self.active:
            return
        if ear is self._kept:
            self._go_back()
            return
        other_rate = ear.engine.rate_hz != self.rate_hz
        if asked.at_once or other_rate or ear.learning or self.active.learning:
            self._become(ear, keep=not asked.at_once)
            return
        self._coming = ear
        if self._end_sample is not None:
            ear.align(self._end_sample)

    def _become(self, ear: Ear, *, keep: bool = True) -> None:
        before, self.active, self._coming = self.active, ear, None
        if ear.stride != self._stride:
            ear.widen(self._stride)
        # Of two switches without a commit between them the first ear is kept.
        if keep and not self._settled and self._kept is None:
            self._kept = before
        else:
            before.close()
        self._log(ear)

    def _go_back(self) -> None:
        """Let the ear that was kept decide; it has missed sound."""
        if self._kept is not None:
            self.active.close()
            self.active, self._kept = self._kept, None
            self.active.widen(self._stride)
            self._deaf = True
            self._log(self.active)

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._kept = None

    def _log(self, ear: Ear) -> None:
        manifest = ear.engine.manifest
        text = "%s: bundle %s version %d decides"
        log.info(text, self._name, manifest.id, manifest.version)

    def _hear_coming(self, block: Block) -> list[Decision]:
        coming = self._coming
        if coming is None:
            return []
        try:
            return coming.step(block)
        except Exception:  # whatever it is: the bundle that decides must go on
            self._fail(coming)
            self._coming = None
            return []

    def _hear(self, block: Block) -> list[Decision]:
        if self._deaf:
            block, self._deaf = replace(block, gap=True), False
        failed = self.active
        try:
            return failed.step(block)
        except AsdError:  # what was learnt cannot be written: no fault of a bundle
            raise
        except Exception:  # whatever it is: the bundle before it is still here
            failed.watch.failure = "error"
            if self._kept is None:
                raise
            self._fail(failed)
        self._go_back()
        # At another rate this block is not for it.
        return self._hear(block) if self.rate_hz == failed.engine.rate_hz else []

    def _fail(self, ear: Ear) -> None:
        ear.watch.failure = "error"
        text = "%s: bundle %s failed; the one before it goes on"
        log.exception(text, self._name, ear.engine.manifest.id)
