"""Recordings of every kind, good and bad, from files made here."""

import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.capture.chunk import Samples
from asd_agent.capture.recording import Recording, read, recordings
from asd_agent.errors import SoundError


def _tone(count: int, level: float = 0.5) -> Samples:
    sound: Samples = (level * np.sin(np.arange(count) * 0.1)).astype(np.float32)
    return sound


def _save(path: Path, sound: Samples, rate_hz: int = 16_000, sub: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate_hz, subtype=sub or None)
    return path


def _played(recording: Recording) -> Samples:
    return np.concatenate([chunk.samples for chunk in recording.chunks()])


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(
    ("suffix", "sub"),
    [
        (".wav", "PCM_16"),
        (".wav", "PCM_24"),
        (".wav", "FLOAT"),
        (".wav", "PCM_U8"),
        (".flac", "PCM_16"),
        (".aiff", "PCM_16"),
    ],
)
def test_formats_and_rates(tmp_path: Path, suffix: str, sub: str, rate_hz: int) -> None:
    path = _save(tmp_path / f"a{suffix}", _tone(5_000), rate_hz, sub)
    chunks = list(read(path))
    assert {chunk.rate_hz for chunk in chunks} == {rate_hz}
    assert {len(chunk.samples) for chunk in chunks[:-1]} <= {rate_hz // 10}
    assert not any(chunk.gap for chunk in chunks)
    sound = np.concatenate([chunk.samples for chunk in chunks])
    assert sound.dtype == np.float32
    np.testing.assert_allclose(sound, _tone(5_000), atol=0.01)


def test_lossy_formats_are_read(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.ogg", _tone(16_000))
    assert sum(len(chunk.samples) for chunk in read(path)) == 16_000


def test_one_channel_is_chosen_and_none_mixed(tmp_path: Path) -> None:
    eight = np.stack([np.full(100, c / 10, np.float32) for c in range(8)], axis=1)
    path = _save(tmp_path / "a.wav", eight, sub="FLOAT")
    for channel in (0, 3, 7):
        sound = _played(Recording(path, channel))
        np.testing.assert_array_equal(sound, np.full(100, channel / 10, np.float32))


def test_a_channel_that_is_not_there(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.wav", np.zeros((100, 2), np.float32))
    with pytest.raises(SoundError, match=r"a\.wav: channel 2 .* the file has 2"):
        _played(Recording(path, channel=2))


@pytest.mark.parametrize("rate_hz", [1, 499, 2_000_001, 2_000_000_000])
def test_a_rate_that_no_recording_has(tmp_path: Path, rate_hz: int) -> None:
    """Of 1 Hz a second would become four hours, and 180 MB at once."""
    path = _save(tmp_path / "a.wav", _tone(1600), rate_hz)
    with pytest.raises(SoundError, match=f"its header says {rate_hz} samples a sec"):
        _played(Recording(path))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "tape.wav")
    for path in (tmp_path / "tape.wav", tmp_path / "*.wav", tmp_path, "/dev/zero"):
        with pytest.raises(SoundError, match="no recording found"):
            Recording(path)


def test_files_play_as_one_tape_in_order_of_name(tmp_path: Path) -> None:
    _save(tmp_path / "b.wav", _tone(50, 0.2), 8_000, "FLOAT")
    _save(tmp_path / "a.flac", np.zeros(30, np.float32), 16_000)
    _save(tmp_path / "c.txt.wav", _tone(20, 0.1), 48_000, "FLOAT")
    chunks = list(Recording(tmp_path / "*.*").chunks())
    assert [(chunk.rate_hz, len(chunk.samples)) for chunk in chunks] == [
        (16_000, 30),
        (8_000, 50),
        (48_000, 20),
    ]


def test_a_loop_starts_again(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.wav", _tone(10), sub="FLOAT")
    recording = Recording(path, loop=True)
    sounds = [chunk.samples for chunk in islice(recording.chunks(), 5)]
    np.testing.assert_array_equal(np.concatenate(sounds), np.tile(_tone(10), 5))


def test_close_ends_the_tape(tmp_path: Path) -> None:
    recording = Recording(_save(tmp_path / "a.wav", _tone(10)), loop=True)
    chunks = recording.chunks()
    next(chunks)
    recording.close()
    assert list(chunks) == []


class Clock:
    """Time that passes only while somebody sleeps or works."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def read(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.slept.append(duration_s)
        self.now_s += duration_s + 0.003  # every wake-up is late


def test_realtime_does_not_drift(tmp_path: Path) -> None:
    path, clock = _save(tmp_path / "a.wav", _tone(44_100), 44_100), Clock()
    recording = Recording(
        path, pace="realtime", loop=True, clock=clock.read, sleep=clock.sleep
    )
    assert recording.live
    for count, _ in enumerate(islice(recording.chunks(), 200), start=1):
        # A chunk comes when its last sample was heard, at most one wake-up late.
        assert 0.0 <= clock.now_s - 100.0 - count * 0.1 <= 0.0031


def test_realtime_catches_up_after_a_pause(tmp_path: Path) -> None:
    path, clock = _save(tmp_path / "a.wav", _tone(16_000)), Clock()
    chunks = Recording(
        path, pace="realtime", clock=clock.read, sleep=clock.sleep
    ).chunks()
    next(chunks)
    clock.now_s += 0.45
    list(chunks)
    assert clock.slept[1:5] == [0.0, 0.0, 0.0, 0.0]
    assert clock.now_s - 100.0 == pytest.approx(1.0, abs=0.01)


def test_fast_does_not_sleep(tmp_path: Path) -> None:
    path, clock = _save(tmp_path / "a.wav", _tone(16_000)), Clock()
    recording = Recording(path, clock=clock.read, sleep=clock.sleep)
    assert not recording.live
    assert len(_played(recording)) == 16_000
    assert clock.slept == []


def test_what_folders_files_and_patterns_stand_for(tmp_path: Path) -> None:
    names = ["z.wav", "sub/deep/a.FLAC", "sub/b.ogg", "note.txt", "sub/labels.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def found(*paths: str) -> list[str]:
        some = recordings(tmp_path / path for path in paths)
        return [str(path.relative_to(tmp_path)) for path in some]

    assert found("") == ["sub/b.ogg", "sub/deep/a.FLAC", "z.wav"]
    assert found("note.txt") == ["note.txt"]
    assert found("z.wav", "*.wav", "sub") == ["sub/b.ogg", "sub/deep/a.FLAC", "z.wav"]
    assert found("**/*.FLAC", "?.wav") == ["sub/deep/a.FLAC", "z.wav"]


def test_a_relative_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _save(tmp_path / "in" / "a.wav", _tone(10))
    assert recordings(["in/*.wav"]) == [Path("in/a.wav")]


@pytest.mark.parametrize("name", ["nowhere.wav", "*.flac", "folder"])
def test_nothing_found_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "note.txt").touch()
    with pytest.raises(SoundError, match="no recording found"):
        Recording(tmp_path / name)


def _refused(path: Path) -> str:
    with pytest.raises(SoundError) as caught:
        list(read(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_files_that_are_no_recordings(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert "no such file" in _refused(path)
    path.touch()
    assert "is empty" in _refused(path)
    path.write_text("these are words " * 50)
    assert "convert it to WAV" in _refused(path)
    _save(path, np.zeros(0, np.float32))
    assert "no samples" in _refused(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number(tmp_path: Path, bad: float) -> None:
    sound = _tone(10_000)
    sound[5_000] = bad
    path = _save(tmp_path / "a.wav", sound, sub="FLOAT")
    assert f"frame 5000 is {bad}" in _refused(path)


def test_an_unused_channel_may_hold_anything(tmp_path: Path) -> None:
    sound = np.zeros((100, 2), np.float32)
    sound[:, 1] = np.nan
    path = _save(tmp_path / "a.wav", sound, sub="FLOAT")
    assert len(_played(Recording(path, channel=0))) == 100


def test_a_flac_that_was_cut_short(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 50_000).astype(np.float32)
    path = _save(tmp_path / "a.flac", noise)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    message = _refused(path)
    assert "of 50000" in message
    assert "after frame " in message


def test_a_file_that_ends_before_its_header_says(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.mp3", _tone(50_000))
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    assert "its header says 50000" in _refused(path)


def test_a_wav_that_was_cut_short_plays_what_is_there(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.wav", _tone(10_000), sub="FLOAT")
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) - 4 * 4_000 - 2])
    sound = _played(Recording(path))
    assert 5_900 < len(sound) < 6_000
    np.testing.assert_array_equal(sound, _tone(10_000)[: len(sound)])
