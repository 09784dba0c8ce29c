"""A simulated data set: names, bytes, counts."""

import csv
import hashlib
import wave
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from asd_agent.errors import ConfigError
from asd_train.data.dcase import read_folder
from asd_train.data.simulator.files import Order, prepare_folder, simulate, write_wave

ORDER = Order(("fan", "valve"), 2, clips_train=4, clips_test=6, seconds=0.5, seed=3)

ORDER_2021 = Order(
    ("ToyCar", "valve"), 3, clips_train=5, clips_test=8, seconds=0.2, layout="2021"
)
# Every 400th sample of a faulty clip, as the first version of the simulator wrote it.
FIRST_VERSION = {
    "fan": (435, -180, 465, 669, 472, 1577, 845, 1410),
    "pump": (-7, 46, -633, -1274, 768, -65, -307, 1109),
    "gearbox": (-161, 375, -1602, -250, -582, -2139, 1172, -567),
    "valve": (60, 324, 56, 6, 107, -42, 243, -2332),
    "slider": (-590, 299, 1387, 512, 65, 846, -460, 1101),
}
NAMES_OF_FIRST_VERSION = (
    "4450618563dc1d09675e2c16d1af82e9f651a49be1e3a3a727f5fab20597f703"
)


def _samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


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


def test_an_order_of_the_first_version_gives_the_same_files(tmp_path: Path) -> None:
    order = Order(tuple(FIRST_VERSION), 1, 2, 12, seconds=0.2, seed=3)
    list(simulate(order, tmp_path))
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*"))
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    assert digest == NAMES_OF_FIRST_VERSION
    for kind, expected in FIRST_VERSION.items():
        (path,) = (tmp_path / kind / "test").glob("*source*anomaly_0000*")
        # Another version of NumPy may round in another way.
        assert np.abs(_samples(path)[::400].astype(int) - expected).max() <= 2


def test_layout_2021_has_the_counts_of_the_challenge(tmp_path: Path) -> None:
    assert sum(simulate(ORDER_2021, tmp_path)) == ORDER_2021.clips == 2 * 3 * 16
    clips = [c for split in ("train", "test") for c in read_folder(tmp_path, split)]
    found = Counter((c.machine, c.section, c.split, c.domain, c.label) for c in clips)
    per_section = {
        ("train", "source", "normal"): 5,
        ("train", "target", "normal"): 3,
        ("test", "source", "normal"): 2,
        ("test", "source", "anomaly"): 2,
        ("test", "target", "normal"): 2,
        ("test", "target", "anomaly"): 2,
    }
    assert found == {
        (machine, section, *group): count
        for machine in ("ToyCar", "valve")
        for section in ("00", "01", "02")
        for group, count in per_section.items()
    }


def test_layout_2021_names_conditions_of_training_clips_alone(tmp_path: Path) -> None:
    list(simulate(ORDER_2021, tmp_path))
    for clip in read_folder(tmp_path, "test"):
        assert clip.attributes == ""
        assert clip.path.parent.name == f"{clip.domain}_test"
    train = read_folder(tmp_path, "train")
    conditions = {
        d: {c.attributes for c in train if c.domain == d} for d in ("source", "target")
    }
    assert conditions["source"] == {
        "spd_90_load_50",
        "spd_100_load_60",
        "spd_100_load_80",
    }
    assert not conditions["source"] & conditions["target"]
    noisy = {c.section for c in train if "noise" in c.attributes}
    assert noisy == {"02"}


def test_truth_of_layout_2021_names_every_clip(tmp_path: Path) -> None:
    list(simulate(ORDER_2021, tmp_path))
    rows = []
    for table in sorted((tmp_path / "valve").glob("truth_section_*.csv")):
        with table.open(newline="") as file:
            rows += list(csv.DictReader(file))
    files = {row["file"] for row in rows}
    assert files == {
        p.relative_to(tmp_path / "valve").as_posix()
        for p in (tmp_path / "valve").rglob("*.wav")
    }
    for row in rows:
        assert bool(row["fault"]) == ("_anomaly_" in row["file"])
        assert bool(row["fault"]) == (float(row["severity"]) > 0)


def test_layout_2021_is_the_same_for_one_process_or_two(tmp_path: Path) -> None:
    list(simulate(ORDER_2021, tmp_path / "a"))
    list(simulate(ORDER_2021, tmp_path / "b", jobs=2))
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")


def test_test_clips_of_layout_2021_come_in_fours(tmp_path: Path) -> None:
    order = Order(("fan",), 1, clips_test=10, layout="2021")
    with pytest.raises(ConfigError, match=r"clips_test is 10.*multiple of 4"):
        list(simulate(order, tmp_path))
