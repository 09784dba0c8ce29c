"""Golden sound spans what was trained on."""

import numpy as np
import pytest

from asd_agent.features import SecomSpec
from asd_train.data.units import Wave
from asd_train.spanning import CLIPS, QUIET_DB, UNITS, farthest, spanning_clips

SPEC = SecomSpec(window=256, hop=64, unit_frames=8, unit_shift=4, rate_hz=4000)
SAMPLES = SPEC.unit_samples + (UNITS - 1) * SPEC.shift_samples


def noise(level: float, samples: int = 3 * SAMPLES, seed: int = 0) -> Wave:
    found = np.random.default_rng(seed).normal(0, level, samples)
    return np.asarray(np.round(found), np.int16)


def tone(hz: float) -> Wave:
    turns = 2 * np.pi * hz / SPEC.rate_hz * np.arange(3 * SAMPLES)
    found = np.round(3000 * np.sin(turns) + noise(30))
    return np.asarray(found, np.int16)


def level(clip: Wave) -> float:
    return float(20 * np.log10(clip.astype(np.float64).std()))


def test_the_rare_are_chosen_beside_the_ordinary() -> None:
    ordinary = [noise(1000, seed=i) for i in range(50)]
    rare = [tone(300), tone(1500), noise(10), noise(9000)]
    clips = spanning_clips(SPEC, [*ordinary, *rare])
    assert clips.shape == (CLIPS + 1, SAMPLES)
    assert clips.dtype == np.int16
    assert any(clips[0].tobytes() in wave.tobytes() for wave in ordinary)
    for wave in rare:
        # A piece of each, and the most unlike come before the next ordinary one.
        assert any(clip.tobytes() in wave.tobytes() for clip in clips[1:5])


def test_the_last_is_the_first_as_a_deaf_microphone_hears_it() -> None:
    clips = spanning_clips(SPEC, [noise(9000, seed=i) for i in range(9)])
    assert level(clips[-1]) == pytest.approx(level(clips[0]) + QUIET_DB, abs=0.1)
    softer = clips[0] * 10 ** (QUIET_DB / 20)
    assert np.abs(clips[-1] - softer).max() <= 0.5


def test_it_is_the_same_each_time() -> None:
    waves = [noise(1000 * (i + 1), seed=i) for i in range(5)]
    np.testing.assert_array_equal(
        spanning_clips(SPEC, waves), spanning_clips(SPEC, waves)
    )


@pytest.mark.parametrize(("units", "kept"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_short_recordings_give_short_clips(units: int, kept: int) -> None:
    samples = SPEC.unit_samples + (units - 1) * SPEC.shift_samples
    waves = [noise(1000, samples, 1), noise(100, samples, 2), noise(9, seed=3)[:700]]
    waves = [wave for wave in waves if len(wave) >= SPEC.unit_samples]
    clips = spanning_clips(SPEC, waves)
    assert SPEC.units_in(clips.shape[1]) == kept
    assert len(clips) >= 3


def test_one_long_recording_among_short_ones() -> None:
    waves = [noise(1000, SPEC.unit_samples), noise(1000, 10 * SAMPLES, seed=1)]
    clips = spanning_clips(SPEC, waves)
    assert clips.shape == (1 + 3 + 1, SPEC.unit_samples)


def test_rows_are_far_apart_and_none_is_taken_twice() -> None:
    places = np.array([[0.0], [1], [1], [10], [4], [-6]])
    assert farthest(places, 3) == [1, 3, 5]
    assert farthest(places, 9) == [1, 3, 5, 4, 0]
    assert farthest(np.zeros((5, 2)), 3) == [0]
