"""A simulated data set: names, bytes, counts."""

import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asd_agent.errors import ConfigError
from asd_train.data.dcase import read_folder
from asd_train.data.simulator.files import Order, prepare_folder, simulate, write_wave

ORDER = Order(("fan", "valve"), 2, clips_train=4, clips_test=6, seconds=0.5, seed=3)


def _contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.wav")
    }


def test_same_seed_same_bytes_with_one_process_or_two(tmp_path: Path) -> None:
    assert sum(simulate(ORDER, tmp_path / "a")) == ORDER.clips
    assert sum(simulate(ORDER, tmp_path / "b", jobs=2)) == ORDER.clips
    one = _contents(tmp_path / "a")
    assert one == _contents(tmp_path / "b")
    assert len(one) == len(set(one.values())) == ORDER.clips == 40


def test_names_are_read_by_the_parser_of_the_challenge(tmp_path: Path) -> None:
    list(simulate(ORDER, tmp_path))
    train, test = (read_folder(tmp_path, split) for split in ("train", "test"))
    assert {clip.machine for clip in train} == {"fan", "valve"}
    assert {clip.section for clip in train} == {"00", "01"}
    assert {clip.label for clip in train} == {"normal"}
    assert Counter(c.label for c in test) == {"normal": 12, "anomaly": 12}
    assert {c.domain for c in test} == {"source", "target"}
    for clip in test:
        assert ("fault" in clip.attributes) == (clip.label == "anomaly")
    conditions = {
        d: {c.attributes[:7] for c in test if c.domain == d}
        for d in ("source", "target")
    }
    assert not conditions["source"] & conditions["target"]


def test_a_tenth_of_the_training_clips_is_of_the_target_domain(tmp_path: Path) -> None:
    order = Order(("valve",), 1, clips_train=20, clips_test=1, seconds=0.2)
    list(simulate(order, tmp_path))
    domains = Counter(clip.domain for clip in read_folder(tmp_path, "train"))
    assert domains == {"source": 18, "target": 2}


def test_format_is_16_bit_mono(tmp_path: Path) -> None:
    sound = np.array([0.0, 0.5, -0.5, 2.0, -2.0], np.float32)
    write_wave(tmp_path / "x.wav", sound, 16_000)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert file.getframerate() == 16_000
        whole = np.frombuffer(file.readframes(5), "<i2")
    assert whole.tolist() == [0, 16384, -16384, 32767, -32767]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "new" / "deep", overwrite=False)
    prepare_folder(tmp_path / "new" / "deep", overwrite=False)
    (tmp_path / "new" / "note.txt").touch()
    with pytest.raises(ConfigError, match="--overwrite"):
        prepare_folder(tmp_path / "new", overwrite=False)
    prepare_folder(tmp_path / "new", overwrite=True)


def test_an_unknown_type_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no machine type 'boiler'"):
        list(simulate(Order(("fan", "boiler"), 1), tmp_path))
    assert not list(tmp_path.iterdir())
