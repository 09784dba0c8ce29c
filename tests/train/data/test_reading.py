"""Recordings that cannot be used are told before they are needed."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.errors import SoundError
from asd_agent.features import SecomSpec
from asd_train.data.names import Clip
from asd_train.data.reading import Reading, usable

Write = Callable[..., Path]


def _clip(path: Path, channel: int = 0) -> Clip:
    return Clip(path, "fan", "00", "train", "", "normal", "", channel=channel)


def _reason(path: Path, *, samples: int = 1, keep_rate: bool = False) -> str:
    good, problems = usable([_clip(path)], samples, 16_000, keep_rate=keep_rate)
    assert len(good) + len(problems) == 1
    assert all(problem.path == path for problem in problems)
    return problems[0].reason if problems else ""


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_recording_cut_off_anywhere(tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole.{ending}"
    noise = np.random.default_rng(0).integers(-9000, 9000, 4000)
    soundfile.write(whole, noise.astype(np.int16), 16_000)
    data = whole.read_bytes()
    assert _reason(whole) == ""
    for length in (3, 20, 44, 100, len(data) // 2, len(data) - 4):
        part = tmp_path / f"{length}.{ending}"
        part.write_bytes(data[:length])
        assert "cut off" in _reason(part) or "not a readable" in _reason(part)


def test_a_size_that_was_not_known_when_writing_is_no_problem(write: Write) -> None:
    path = write("piped.wav")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert _reason(path) == ""


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("these are words " * 100)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder.wav").mkdir()
    assert "not a readable recording" in _reason(tmp_path / "text.wav")
    assert _reason(tmp_path / "empty.wav") == "the file is empty"
    assert "cannot be opened" in _reason(tmp_path / "folder.wav")
    assert "cannot be opened" in _reason(tmp_path / "nowhere.wav")


def test_length_is_counted_at_the_rate_that_is_wanted(write: Write) -> None:
    path = write("a.wav", samples=4410, rate_hz=44_100)
    assert _reason(path, samples=1600) == ""
    assert _reason(path, samples=1601) == "lasts 0.10 s, needed are 0.10 s"
    silent = write("b.wav", samples=0)
    assert "lasts 0.00 s" in _reason(silent)


def test_another_rate_is_a_problem_only_when_it_must_be_kept(write: Write) -> None:
    path = write("a.wav", rate_hz=8000)
    assert _reason(path) == ""
    expected = "has 8000 Hz, and exactly 16000 Hz was asked for"
    assert _reason(path, keep_rate=True) == expected


def test_a_channel_that_is_not_there(write: Write) -> None:
    mono, stereo = write("mono.wav"), write("stereo.wav", channels=2)
    clips = [_clip(mono, 1), _clip(stereo, 1), _clip(stereo, 2)]
    good, problems = usable(clips, 1, 16_000)
    assert good == (clips[1],)
    assert [problem.reason for problem in problems] == [
        "has channel 0 alone, and channel 1 was asked for",
        "has channels 0 to 1, and channel 2 was asked for",
    ]


def test_each_bad_file_is_named_and_their_number(
    write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "b.wav").touch()
    (tmp_path / "c.wav").write_text("words")
    clips = [_clip(tmp_path / f"{n}.wav") for n in "bac"]
    write("a.wav")
    with caplog.at_level(logging.WARNING):
        good, problems = usable(clips, 1, 16_000)
    assert good == (clips[1],)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [str(p) for p in problems] + ["2 of 3 recordings are left out"]
    assert lines[0] == f"{tmp_path / 'b.wav'}: the file is empty"
    with pytest.raises(SoundError, match=r"2 of 3 recordings.*b\.wav: the file is em"):
        usable(clips, 1, 16_000, strict=True)


def test_quiet_says_nothing_but_still_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clips = [_clip(tmp_path / "b.wav")]
    assert usable(clips, 1, 16_000, quiet=True)[0] == ()
    assert not caplog.records
    with pytest.raises(SoundError, match="1 of 1 recordings cannot be used"):
        usable(clips, 1, 16_000, strict=True, quiet=True)


def test_a_reading_tells_layout_channel_and_length(write: Write) -> None:
    path = write("mill/a.wav", samples=3968, channels=2)
    spec = SecomSpec(window=128, hop=64, unit_frames=62, unit_shift=31)
    reading = Reading("classes", channel=1)
    clips = reading.clips(path.parents[1], "train")
    assert [(c.machine, c.channel) for c in clips] == [("mill", 1)]
    assert reading.usable(clips, spec) == ()
    assert reading.usable(clips, spec.model_copy(update={"hop": 62})) == clips


def test_nothing_is_said_when_all_is_well(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    clips = (_clip(write("a.wav")),)
    assert usable(clips, 1, 16_000, strict=True) == (clips, ())
    assert not caplog.records
