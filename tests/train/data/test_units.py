"""Recordings in memory and the units drawn from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asd_agent.errors import SoundError
from asd_agent.features import SecomSpec, units
from asd_train.augment import AugmentSpec
from asd_train.data.dcase import Clip, parse
from asd_train.data.units import (
    UnitSampler,
    class_name,
    class_names,
    find_class,
    normalisation,
    read_wave,
    to_float,
)

SPEC = SecomSpec(window=128, hop=64, unit_frames=32, unit_shift=16)


def _clip(folder: Path, samples: np.ndarray, rate_hz: int = 16_000) -> Clip:
    path = folder / "fan/train/section_00_source_train_normal_0000.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    return parse(path)


def _waves(*levels: float) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [(v * rng.standard_normal(4000)).astype(np.int16) for v in levels]


def test_a_16_bit_recording_is_kept_bit_for_bit(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).integers(-32768, 32768, 4000).astype(np.int16)
    wave = read_wave(_clip(tmp_path, whole), SPEC)
    assert np.array_equal(wave, whole)
    assert np.array_equal(to_float(wave), whole / np.float32(32768))


def test_first_channel_at_the_rate_of_the_spec(tmp_path: Path) -> None:
    time_s = np.arange(24_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 1000 * time_s)
    stereo = np.stack([tone, np.zeros_like(tone)], axis=1)
    wave = read_wave(_clip(tmp_path, stereo, 48_000), SPEC)
    assert len(wave) == 8000
    spectrum = np.abs(np.fft.rfft(wave))
    assert np.argmax(spectrum) * 2 == 1000


def test_the_channel_that_the_clip_names(tmp_path: Path) -> None:
    both = np.random.default_rng(0).integers(-9000, 9000, (4000, 2)).astype(np.int16)
    clip = replace(_clip(tmp_path, both), channel=1)
    assert np.array_equal(read_wave(clip, SPEC), both[:, 1])
    with pytest.raises(SoundError, match="channel 2 is not there: the file has 2"):
        read_wave(replace(clip, channel=2), SPEC)


def test_a_clip_shorter_than_a_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match=r"lasts 0\.12 s"):
        read_wave(_clip(tmp_path, np.zeros(2000)), SPEC)


def test_a_file_that_is_no_sound_is_refused(tmp_path: Path) -> None:
    clip = _clip(tmp_path, np.zeros(4000))
    clip.path.write_bytes(b"not sound")
    with pytest.raises(SoundError, match="not a readable recording"):
        read_wave(clip, SPEC)


def test_batches_follow_from_seed_and_number() -> None:
    waves = _waves(100, 1000, 5000)
    augment = AugmentSpec(gain_db=6, background=0.5, mixup=0.5)
    first, again, other = (
        UnitSampler(SPEC, waves, [0, 1, 2], augment, seed) for seed in (1, 1, 2)
    )
    first.batch(0, 8)
    one, two = first.batch(7, 8), again.batch(7, 8)
    assert np.array_equal(one.units, two.units)
    assert np.array_equal(one.shares, two.shares)
    assert not np.array_equal(one.units, other.batch(7, 8).units)
    assert not np.array_equal(one.units, first.batch(8, 8).units)


def test_a_unit_is_that_of_the_front_end() -> None:
    wave = _waves(1000)[0][: SPEC.unit_samples]
    batch = UnitSampler(SPEC, [wave, wave], [0, 1], AugmentSpec(), 0).batch(0, 2)
    expected = units(SPEC, to_float(wave))[0]
    assert batch.units.shape == (2, 1, 64, 32)
    assert np.array_equal(batch.units[0, 0], expected)


def test_classes_are_drawn_evenly_whatever_their_clips() -> None:
    waves = _waves(*[1000] * 10)
    sampler = UnitSampler(SPEC, waves, [0] * 9 + [1], AugmentSpec(), 0)
    labels = np.concatenate([sampler.batch(i, 50).labels for i in range(8)])
    assert 0.4 < labels.mean() < 0.6


def test_units_start_anywhere() -> None:
    ramp = np.arange(4000, dtype=np.int16)
    spec = SPEC.model_copy(update={"drop": "nyquist"})
    sampler = UnitSampler(spec, [ramp, ramp], [0, 1], AugmentSpec(), 0)
    levels = sampler.batch(0, 64).units[:, 0, 0, 0]
    assert len(np.unique(levels)) > 50


def test_mixed_units_say_what_they_are_mixed_of() -> None:
    sampler = UnitSampler(
        SPEC, _waves(100, 1000, 5000), [0, 1, 2], AugmentSpec(mixup=0.5), 0
    )
    batch = sampler.batch(0, 64)
    mixed = batch.shares < 1
    assert 15 < mixed.sum() < 50
    assert np.array_equal(batch.labels[~mixed], batch.others[~mixed])
    assert (batch.labels[mixed] != batch.others[mixed]).any()


def test_normalisation_gives_mean_0_and_deviation_1() -> None:
    found = units(SPEC, to_float(_waves(1000)[0]))
    mean_db, std_db = normalisation(found)
    spec = SPEC.model_copy(update={"mean_db": mean_db, "std_db": std_db})
    again = units(spec, to_float(_waves(1000)[0]))
    assert np.allclose(again.mean(axis=(0, 2)), 0, atol=1e-3)
    assert np.allclose(again.std(axis=(0, 2)), 1, atol=1e-3)
    assert mean_db == tuple(round(v, 4) for v in mean_db)
    assert SecomSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_band_without_sound_is_not_blown_up() -> None:
    mean_db, std_db = normalisation(np.full((3, 4, 5), -100.0, np.float32))
    assert mean_db == (-100.0,) * 4
    assert std_db == (1.0,) * 4


def test_classes_with_and_without_attributes() -> None:
    names = [
        f"x/fan/train/section_00_source_train_normal_000{i}_spd_{v}.wav"
        for i, v in enumerate((80, 100, 80))
    ]
    clips = [parse(Path(name)) for name in names]
    assert class_names(clips, "section") == ("fan/00",)
    assert class_names(clips, "attributes") == ("fan/00/spd_100", "fan/00/spd_80")
    assert class_name(clips[0], "attributes") == "fan/00/spd_80"


@pytest.mark.parametrize(
    ("attributes", "found"),
    [("spd_80", 1), ("spd_80_fault_leak", 1), ("spd_100", 0), ("spd_8", -1), ("", -1)],
)
def test_a_test_clip_finds_the_class_that_its_name_goes_on_from(
    attributes: str, found: int
) -> None:
    names = ("fan/00/spd_100", "fan/00/spd_80")
    tail = f"_{attributes}" if attributes else ""
    clip = parse(Path(f"fan/test/section_00_source_test_anomaly_0000{tail}.wav"))
    assert find_class(clip, names) == found


def test_a_test_clip_of_any_condition_is_of_its_individual() -> None:
    clip = parse(Path("fan/test/section_00_source_test_normal_0000_spd_80.wav"))
    assert find_class(clip, ("fan/00", "fan/01")) == 0
