"""The feed: the same samples live or not, and every loss marked."""

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.capture.chunk import Block, Chunk, Samples
from asd_agent.capture.feed import Feed
from asd_agent.capture.recording import Recording
from asd_agent.errors import SoundError


def _noise(count: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, count).astype(np.float32)


class Played:
    """A source that gives the chunks it was made with, then an error or none."""

    name = "played"
    flaw = ""

    def __init__(
        self,
        chunks: Sequence[Chunk],
        live: bool = False,
        error: Exception | None = None,
        wait: threading.Event | None = None,
    ) -> None:
        self.live = live
        self.closed = 0
        self._chunks = chunks
        self._error = error
        self._wait = wait

    def chunks(self) -> Iterator[Chunk]:
        yield from self._chunks
        if self._wait is not None:
            self._wait.wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed += 1


def _cut(sound: Samples, size: int, rate_hz: int) -> list[Chunk]:
    return [Chunk(sound[at : at + size], rate_hz) for at in range(0, len(sound), size)]


def _sound(blocks: Sequence[Block]) -> Samples:
    return np.concatenate([block.samples for block in blocks])


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_ten_seconds_come_out_whole(live: bool, rate_hz: int) -> None:
    sound = _noise(10 * rate_hz)
    feed = Feed(Played(_cut(sound, rate_hz // 10, rate_hz), live), 16_000)
    blocks = list(feed.blocks())
    feed.close()
    assert len(_sound(blocks)) == 160_000
    starts = np.cumsum([0, *(len(block.samples) for block in blocks)])
    assert [block.start for block in blocks] == list(starts[:-1])
    assert max(len(block.samples) for block in blocks) <= 3_200
    assert not any(block.gap or block.clipped for block in blocks)
    assert (feed.overruns, feed.lost_samples, feed.overflows) == (0, 0, 0)


@pytest.mark.parametrize("size", [1, 7, 512, 16_000, 22_050])
def test_chunk_size_and_thread_change_no_bit(size: int) -> None:
    sound = _noise(22_050)
    expected = _sound(list(Feed(Played([Chunk(sound, 22_050)]), 16_000).blocks()))
    for live in (False, True):
        feed = Feed(Played(_cut(sound, size, 22_050), live), 16_000)
        np.testing.assert_array_equal(_sound(list(feed.blocks())), expected)


def test_a_tape_of_several_rates_keeps_every_second(tmp_path: Path) -> None:
    for name, rate_hz in (("a", 8_000), ("b", 44_100), ("c", 44_100), ("d", 16_000)):
        soundfile.write(tmp_path / f"{name}.wav", _noise(rate_hz), rate_hz)
    feed = Feed(Recording(tmp_path / "*.wav"), 16_000)
    assert len(_sound(list(feed.blocks()))) == 4 * 16_000


def test_a_long_chunk_does_not_overrun_when_nobody_hurries() -> None:
    feed = Feed(Played([Chunk(_noise(100_000), 16_000)]), 16_000, ring_s=1.0)
    np.testing.assert_array_equal(_sound(list(feed.blocks())), _noise(100_000))
    assert feed.overruns == 0


def test_a_slow_reader_loses_the_oldest_and_is_told() -> None:
    reading, ended = threading.Event(), threading.Event()

    class Hasty(Played):
        """Waits for the first block to be read, then for nobody."""

        def chunks(self) -> Iterator[Chunk]:
            first, *rest = self._chunks
            yield first
            reading.wait()
            yield from rest

        def close(self) -> None:
            ended.set()

    source = Hasty(_cut(_noise(64_000), 1_600, 16_000), live=True)
    feed = Feed(source, 16_000, ring_s=1.0)
    blocks = feed.blocks()
    first = next(blocks)
    reading.set()
    assert ended.wait(5.0)
    rest = list(blocks)
    assert (first.start, len(first.samples), first.gap) == (0, 1_600, False)
    assert rest[0].gap
    assert not any(block.gap for block in rest[1:])
    # Not the oldest that the ring still had: the newest when it was overtaken.
    assert (feed.overruns, rest[0].start) == (1, 1_600 + 3 * 16_000)
    assert feed.lost_samples == rest[0].start - 1_600
    np.testing.assert_array_equal(_sound(rest), _noise(64_000)[rest[0].start :])


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_a_gap_covers_all_that_it_reaches(rate_hz: int) -> None:
    """What differs from the same sound without the hole is marked."""
    sound, step = _noise(3 * rate_hz), rate_hz // 100
    broken = sound.copy()
    broken[rate_hz : rate_hz + step] = 0.0
    chunks = [
        Chunk(broken[at : at + step], rate_hz, gap=at == rate_hz)
        for at in range(0, len(broken), step)
    ]
    feed = Feed(Played(chunks), 16_000)
    blocks = list(feed.blocks())
    whole = _sound(list(Feed(Played(_cut(sound, step, rate_hz)), 16_000).blocks()))
    for block in blocks:
        same = whole[block.start : block.start + len(block.samples)]
        assert block.gap or np.array_equal(block.samples, same)
    assert feed.overflows == 1
    marked = sum(len(block.samples) for block in blocks if block.gap)
    assert 160 <= marked <= 3_000


def test_clipping_is_seen_at_the_rate_of_the_source() -> None:
    loud = np.clip(8 * _noise(96_000), -1, 1)
    blocks = list(Feed(Played(_cut(loud, 4_800, 48_000)), 16_000).blocks())
    assert all(block.clipped for block in blocks)


@pytest.mark.parametrize("live", [False, True])
def test_an_error_comes_after_the_sound_before_it(live: bool) -> None:
    source = Played(_cut(_noise(3_200), 1_600, 16_000), live, SoundError("burnt"))
    feed, heard = Feed(source, 16_000), list[Block]()
    with pytest.raises(SoundError, match="burnt"):
        heard.extend(feed.blocks())
    feed.close()
    assert len(_sound(heard)) == 3_200
    assert source.closed


def test_a_live_source_that_stalls_is_an_error() -> None:
    release = threading.Event()
    source = Played(_cut(_noise(1_600), 1_600, 16_000), live=True, wait=release)
    feed = Feed(source, 16_000, stall_s=0.05)
    with pytest.raises(SoundError, match=r"no sound for 0\.05 s"):
        list(feed.blocks())
    release.set()
    feed.close()


def test_close_is_prompt_and_ends_the_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, _noise(16_000), 16_000)
    feed = Feed(Recording(path, pace="realtime", loop=True), 16_000)
    heard: list[Block] = []
    reader = threading.Thread(target=lambda: heard.extend(feed.blocks()))
    reader.start()
    time.sleep(0.25)
    before = time.monotonic()
    feed.close()
    reader.join(1.0)
    assert time.monotonic() - before < 1.0
    assert not reader.is_alive()
    assert heard


def test_close_leaves_a_source_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    feed = Feed(Played([Chunk(_noise(10), 16_000)], live=True, wait=release), 16_000)
    next(feed.blocks())
    before = time.monotonic()
    feed.close()
    assert time.monotonic() - before < 1.0
    assert "left behind" in caplog.text
    release.set()


def test_close_without_a_thread_closes_the_source() -> None:
    source = Played([])
    Feed(source, 16_000).close()
    assert source.closed == 1


def test_a_live_recording_gives_the_same_as_a_fast_one(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, _noise(44_100), 44_100)
    fast = _sound(list(Feed(Recording(path), 16_000).blocks()))
    live = Recording(path, pace="realtime", sleep=lambda _: None)
    np.testing.assert_array_equal(_sound(list(Feed(live, 16_000).blocks())), fast)


def test_a_source_that_is_too_slow_is_told(caplog: pytest.LogCaptureFixture) -> None:
    list(Feed(Played(_cut(_noise(4_000), 400, 8_000)), 16_000).blocks())
    assert [record.message for record in caplog.records] == [
        "played: has 8000 Hz, the front end 16000 Hz: it hears nothing above 4000 Hz "
        "and is not called normal; use a microphone, or a rate, that is faster"
    ]
    list(Feed(Played(_cut(_noise(4_000), 400, 22_050)), 16_000).blocks())
    assert len(caplog.records) == 1
