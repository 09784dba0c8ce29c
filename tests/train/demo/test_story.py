from pathlib import Path

import numpy as np
import soundfile

from asd_agent.config_file import load
from asd_train.demo.story import Story

SHORT = Story(learn_s=1.0, onset_s=1.0, growth_s=1.0, stream_s=4.0)


def test_the_fault_comes_at_the_onset_and_grows() -> None:
    times_s = np.array([0.0, 1.0, 1.5, 2.0, 4.0])
    assert SHORT.severity(times_s).tolist() == [0, 0, 0.5, 1, 1]


def test_the_recordings_are_as_long_as_told_and_the_fault_is_heard(
    tmp_path: Path,
) -> None:
    normal, stream = tmp_path / "normal.flac", tmp_path / "stream.flac"
    SHORT.record(normal, stream)
    assert len(soundfile.read(normal)[0]) == 16_000
    sound, rate_hz = soundfile.read(stream)
    assert (len(sound), rate_hz) == (64_000, 16_000)
    assert np.std(sound[48_000:]) > 1.3 * np.std(sound[:16_000])


def test_the_agent_takes_the_configuration(tmp_path: Path) -> None:
    stream, file = tmp_path / "stream.flac", tmp_path / "demo.yaml"
    stream.touch()
    (tmp_path / "manifest.json").touch()
    file.write_text(SHORT.configuration(stream, tmp_path / "state", 1883, tmp_path))
    config = load(file)
    assert config.mqtt is not None
    assert config.mqtt.interval_s <= 1
    assert config.sources[0].pace == "realtime"
    assert config.bundle.path == tmp_path
    assert config.alarm.per_week == 1, "the rules of the agent, not easier ones"


def test_the_whole_takes_less_than_two_minutes() -> None:
    # Learning and rendering take well under 30 s beside the stream.
    assert Story().stream_s <= 90
