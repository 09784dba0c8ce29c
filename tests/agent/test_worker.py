"""A worker learns, judges, outlives its microphone, and tells every change."""

import logging
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asd_agent import worker as module
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Block, Chunk, Samples, Source
from asd_agent.config import SourceConfig
from asd_agent.ear import Ear
from asd_agent.errors import SiteError, SoundError
from asd_agent.mqtt.clock import Anchor
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import members_of, open_bundle
from asd_agent.worker import Worker
from support.agents import RATE_HZ, WINDOW, Agent, agent, ear_of, know
from support.bundles import SMALL, forge
from support.sounds import Played, cut, noise, wav


class Heard(list[Decision]):
    """What a worker told; stops it after so many."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__()
        self.anchors: list[Anchor] = []
        self._most = most

    def __call__(self, worker: Worker, decision: Decision, anchor: Anchor) -> None:
        self.append(decision)
        self.anchors.append(anchor)
        if len(self) >= self._most:
            worker.stop()

    @property
    def states(self) -> list[State]:
        """The states in order, each change once."""
        return [
            now.state
            for last, now in zip([None, *self], self, strict=False)
            if last is None or now.state is not last.state
        ]


class Clock:
    """Monotonic seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def worker_of(
    made: Agent, heard: Heard, clock: Clock | None = None, **source: object
) -> Worker:
    config = made.config()
    changed = config.sources[0].model_copy(update=source)
    ear = ear_of(config, changed)
    return Worker(config, changed, ear, heard, clock=clock or Clock())


def microphone(
    monkeypatch: pytest.MonkeyPatch, *plugged: Sequence[Samples] | SoundError
) -> list[int]:
    """Let a microphone be opened so often; each time it plays, and then fails."""
    opened: list[int] = []

    def chunks(sounds: Sequence[Samples]) -> Iterator[Chunk]:
        for sound in sounds:
            yield Chunk(sound, RATE_HZ)
        raise SoundError("mic: stopped giving sound")

    def open_source(_: SourceConfig) -> Source:
        opened.append(len(opened))
        now = plugged[min(len(opened), len(plugged)) - 1]
        if isinstance(now, SoundError):
            raise now
        return Played(chunks(now))

    monkeypatch.setattr(module, "open_source", open_source)
    return opened


def at_once(monkeypatch: pytest.MonkeyPatch, worker: Worker) -> list[float]:
    """Skip the waits between attempts; returns how long they would be."""
    waits: list[float] = []

    def wait(seconds: float | None = None) -> bool:
        waits.append(seconds or 0.0)
        return worker._asked.is_set()

    monkeypatch.setattr(worker._asked, "wait", wait)
    return waits


def pieces(seconds: float, seed: int) -> list[Samples]:
    sound = noise(int(seconds * RATE_HZ), seed)
    return list(cut(sound, [400] * (len(sound) // 400 + 1)))


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


def test_a_recording_is_learnt_and_then_judged(made: Agent) -> None:
    sound = np.concatenate([noise(20 * RATE_HZ, seed=1), noise(5 * RATE_HZ, seed=2)])
    wav(made.tape, sound, RATE_HZ)
    made.configure(learn={"minutes": 0.25})
    heard = Heard()
    worker = worker_of(made, heard)
    worker.run()
    assert worker.error is None
    assert heard.states == [State.LEARNING, State.NORMAL]
    learning = [d for d in heard if d.p_value is None]
    # Fifteen seconds, up to the end of the block in which they are full.
    assert learning[-1].end_sample == pytest.approx(15 * RATE_HZ, abs=SMALL.rate_hz)
    site = Site.load(made.site, members_of(made.config(), open_bundle(made.config())))
    assert site.info.seconds == pytest.approx(15, abs=0.2)
    # The counter goes on through the end of learning.
    judged = [d for d in heard if d.p_value is not None]
    assert judged[0].end_sample > learning[-1].end_sample
    assert judged[-1].end_sample == pytest.approx(25 * RATE_HZ, abs=SMALL.unit_samples)


def test_what_was_learnt_is_used_the_next_time(made: Agent) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    worker_of(made, Heard()).run()
    before = made.site.read_bytes()
    heard = Heard()
    worker_of(made, heard).run()
    assert all(d.p_value is not None for d in heard)
    assert heard[0].end_sample == SMALL.unit_samples
    assert made.site.read_bytes() == before


def test_a_recording_that_ends_early_is_learnt_as_far_as_it_goes(made: Agent) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 60})
    worker = worker_of(made, Heard())
    worker.run()
    assert worker.error is None
    assert made.site.exists()


def test_too_little_to_learn_from_is_an_error(made: Agent) -> None:
    wav(made.tape, noise(WINDOW), RATE_HZ)
    worker = worker_of(made, Heard())
    worker.run()
    assert isinstance(worker.error, SiteError)
    assert not made.site.exists()


def test_a_broken_recording_is_an_error(made: Agent) -> None:
    made.tape.write_bytes(b"not sound")
    worker = worker_of(made, Heard())
    worker.run()
    assert isinstance(worker.error, SoundError)


def test_a_damaged_site_is_refused_at_the_start(made: Agent) -> None:
    made.site.parent.mkdir(parents=True)
    made.site.write_bytes(b"damaged")
    with pytest.raises(SiteError, match="is damaged"):
        worker_of(made, Heard())


def test_a_missing_microphone_is_a_fault_and_tried_again(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = microphone(monkeypatch, SoundError("mic: is not there"))
    heard = Heard(most=9)
    worker = worker_of(made, heard, microphone="mic", recording=None)
    waits = at_once(monkeypatch, worker)
    worker.run()
    assert worker.error is None
    assert len(opened) == 9
    assert heard.states == [State.FAULT]
    assert [d.changed for d in heard] == [True] + [False] * 8
    assert waits == [1, 2, 3, 3, 3, 3, 3, 3, 3]
    assert {d.reason for d in heard} == {"lost"}


def test_a_microphone_that_comes_back_is_judged_on(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    worker_of(made, Heard()).run()
    lost = SoundError("mic: is not there")
    microphone(monkeypatch, pieces(2, 1), lost, pieces(3, 2))
    per_life = SMALL.units_in(2 * RATE_HZ)
    # The first tenth of a second after the break is dropped with the gap.
    heard = Heard(most=per_life + 2 + SMALL.units_in(2 * RATE_HZ - 400))
    worker = worker_of(made, heard, microphone="mic", recording=None)
    at_once(monkeypatch, worker)
    worker.run()
    # After a fault nothing is called normal until a window is whole again.
    learning, normal = State.LEARNING, State.NORMAL
    assert heard.states == [learning, normal, State.FAULT, State.NO_SIGNAL, normal]
    assert {d.reason for d in heard if d.state is State.NO_SIGNAL} == {"gap"}
    changes = [d.state for d in heard if d.changed]
    assert changes == [normal, State.FAULT, State.NO_SIGNAL, normal]
    first, second = heard[:per_life], heard[per_life + 2 :]
    assert second[0].gap
    assert second[0].windows == 0
    ends = [d.end_sample for d in heard if d.state is not State.FAULT]
    assert ends == sorted(set(ends))
    assert second[0].end_sample == 2 * RATE_HZ + 400 + SMALL.unit_samples
    assert first[-1].state is State.NORMAL


def test_a_microphone_that_loses_samples_all_the_time_is_suspect(
    made: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No unit is ever whole: without a word the last state would stand for ever."""
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    worker_of(made, Heard()).run()
    piece = noise(RATE_HZ // 10)
    lossy = Played(Chunk(piece, RATE_HZ, gap=True) for _ in range(400))
    monkeypatch.setattr(module, "open_source", lambda _: lossy)
    heard = Heard(most=1)
    worker_of(made, heard).run()
    assert heard.states == [State.MIC_SUSPECT]
    assert heard[0].reason == "dropout"
    units = heard[0].end_sample / (SMALL.unit_samples + SMALL.shift_samples)
    assert module.BROKEN_UNITS < units < module.BROKEN_UNITS + 4
    assert "loses samples all the time" in caplog.text


def test_learning_goes_on_when_the_microphone_is_back(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.configure(learn={"minutes": 0.1})
    microphone(monkeypatch, pieces(4, 1), pieces(4, 2))
    heard = Heard(most=2 * SMALL.units_in(4 * RATE_HZ) - 3)
    worker = worker_of(made, heard, microphone="mic", recording=None)
    at_once(monkeypatch, worker)
    worker.run()
    assert worker.error is None
    assert heard.states[:3] == [State.LEARNING, State.FAULT, State.LEARNING]
    assert made.site.exists()


def test_every_change_is_told_once_and_logged(
    made: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    worker_of(made, Heard()).run()
    made.configure()
    heard = Heard()
    worker_of(made, heard).run()
    for last, now in pairwise(heard):
        assert now.changed == (now.state is not last.state)
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("pump: anomalous") == 1
    assert any("alone they promise" in text for text in messages)


def test_a_worker_ends_when_it_is_told(made: Agent) -> None:
    made.configure(loop=True, recording=str(made.normal), learn={"minutes": 0.1})
    begun = threading.Event()

    def emit(_: Worker, __: Decision, ___: Anchor) -> None:
        begun.set()

    config = made.config()
    source = config.sources[0]
    worker = Worker(config, source, ear_of(config, source), emit)
    worker.start()
    assert begun.wait(5)
    worker.stop()
    worker.join(5)
    assert not worker.is_alive()
    assert worker.error is None


def test_a_fault_in_the_software_is_kept_and_logged(
    made: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: SourceConfig) -> Source:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "open_source", broken)
    worker = worker_of(made, Heard())
    worker.run()
    assert isinstance(worker.error, ZeroDivisionError)
    assert "stopped by a fault in the software" in caplog.text


def taught(made: Agent, *bundles: str) -> list[Path]:
    """Forge bundles that know the machine; where they lie."""
    return [know(made, forge(made.folder / name, id=name)) for name in bundles]


class Switching(Heard):
    """Asks a worker to switch once it has told so many decisions."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.bundles: list[str] = []
        self.at_once = False
        self.ear: Ear | None = None
        self._after = after

    def __call__(self, worker: Worker, decision: Decision, anchor: Anchor) -> None:
        super().__call__(worker, decision, anchor)
        self.bundles.append(worker.manifest.id)
        if len(self) == self._after and self.ear is not None:
            worker.switch(self.ear, at_once=self.at_once)


@pytest.mark.parametrize("pace", ["fast", "realtime"])
def test_a_switch_of_bundles_loses_no_decision(made: Agent, pace: str) -> None:
    first, second = taught(made, "first", "second")
    heard = Switching(after=12)
    config = made.config()
    source = config.sources[0].model_copy(update={"pace": pace})
    if pace == "realtime":
        wav(made.tape, noise(5 * RATE_HZ, seed=3), RATE_HZ)
    worker = Worker(config, source, ear_of(config, source, first), heard)
    heard.ear = ear_of(config, source, second)
    worker.run()
    assert worker.error is None
    ends = [decision.end_sample for decision in heard]
    assert {now - before for before, now in pairwise(ends)} == {SMALL.shift_samples}
    assert len(ends) == SMALL.units_in(int(soundfile.info(made.tape).frames))
    # The payloads say which bundle decided: the old one until the new is ready.
    taken = heard.bundles.index("second")
    assert set(heard.bundles[taken:]) == {"second"}
    assert not heard[taken].gap
    assert ends[taken] - ends[11] >= WINDOW
    assert worker.watch.reason(1) is None
    assert worker.watch.windows > 2


def test_a_switch_to_another_rate_opens_the_source_again(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = taught(made, "first")
    faster = SMALL.model_copy(update={"rate_hz": 2 * RATE_HZ})
    second = forge(made.folder / "second", faster, id="second")
    opened = microphone(monkeypatch, pieces(4, 1), pieces(8, 2))
    heard = Switching(after=20)
    config = made.config()
    changed = {"microphone": "mic", "recording": None}
    source = config.sources[0].model_copy(update=changed)
    worker = Worker(config, source, ear_of(config, source, first), heard)
    (made.site.parent / "first.safetensors").rename(made.folder / "aside")
    heard.ear = ear_of(config, source, second)
    at_once(monkeypatch, worker)
    heard._most = 100
    worker.run()
    assert len(opened) == 2
    taken = heard.bundles.index("second")
    before, after = heard[taken - 1].end_sample, heard[taken].end_sample
    # The counter goes on, now in samples of the new rate.
    lost_s = after / faster.rate_hz - before / RATE_HZ
    assert 0 < lost_s < 1
    assert heard.anchors[taken].rate_hz == faster.rate_hz


def test_a_worker_says_since_when_a_step_lasts(made: Agent) -> None:
    (first,) = taught(made, "first")
    config = made.config()
    source = config.sources[0]
    seen: list[float | None] = []

    def emit(worker: Worker, _: Decision, __: Anchor) -> None:
        seen.append(worker.busy_s)

    worker = Worker(config, source, ear_of(config, source, first), emit)
    assert worker.busy_s is None
    worker.run()
    assert None not in seen
    assert worker.busy_s is None


def test_to_sum_up_what_was_learnt_may_take_long(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    heard = Heard()
    worker = worker_of(made, heard)
    seen: list[float | None] = []
    save = Site.save

    def slow(*args: Any) -> None:
        seen.append(worker.busy_s)
        save(*args)

    monkeypatch.setattr(Site, "save", slow)
    worker.run()
    assert worker.error is None
    assert seen == [None]


class Live(Played):
    """A source that counts as live, but is read without a thread and loses nothing."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        super().__init__(chunks)
        self._asked = 0

    @property
    def live(self) -> bool:
        self._asked += 1
        return self._asked > 1

    @live.setter
    def live(self, _: bool) -> None:
        return


def test_where_it_is_too_slow_less_is_heard_and_more_again(
    made: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (first,) = taught(made, "first")
    sound = noise(20 * RATE_HZ, seed=8)
    count, size = 240, RATE_HZ
    parts = [sound[i % 19 * size : (i % 19 + 1) * size] for i in range(count)]
    source = Live(Chunk(part, RATE_HZ) for part in parts)
    monkeypatch.setattr(module, "open_source", lambda _: source)
    clock, heard = Clock(), Heard()
    strides: list[int] = []
    config = made.config()

    def work(_: str, block: Block, rate_hz: int) -> None:
        """A second of sound takes 1.5 s; after a while the machine is quicker."""
        cost = 1.5 if len(strides) < 600 else 0.3
        clock.now_s += cost / worker.load.stride * len(block.samples) / rate_hz
        strides.append(worker.load.stride)

    ear = ear_of(config, config.sources[0], first)
    worker = Worker(config, config.sources[0], ear, heard, hear=work, clock=clock)
    worker.run()
    assert worker.error is None
    assert sorted(set(strides)) == [1, 2]
    assert strides[-1] == 1
    wide = [
        now.end_sample - before.end_sample
        for before, now in pairwise(heard)
        if now.end_sample > before.end_sample
    ]
    assert {SMALL.shift_samples, 2 * SMALL.shift_samples} <= set(wide)
    assert "pump: degraded: a second of sound takes 1.50 s" in caplog.text
    assert "keeps up with the sound again" in caplog.text
    # What was decided meanwhile is as good, and the windows are as long.
    assert State.ANOMALOUS not in heard.states
    assert sum(worker.coverage.totals.values()) == count * size
