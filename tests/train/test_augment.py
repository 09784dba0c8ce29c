"""Augmentation changes what it says and nothing else."""

import numpy as np
import pytest

from asd_train.augment import AugmentSpec, gained, mixed, with_background

SOUND = np.random.default_rng(3).standard_normal(4096).astype(np.float32)


def _level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def test_as_it_stands_nothing_is_changed() -> None:
    spec, rng = AugmentSpec(), np.random.default_rng(0)
    assert np.array_equal(gained(spec, SOUND, rng), SOUND)
    assert np.array_equal(with_background(spec, SOUND, rng), SOUND)


def test_gain_stays_within_its_limits_and_reaches_for_them() -> None:
    spec, rng = AugmentSpec(gain_db=6), np.random.default_rng(0)
    moved = [_level_db(gained(spec, SOUND, rng)) - _level_db(SOUND) for _ in range(200)]
    assert -6.01 < min(moved) < -5
    assert 5 < max(moved) < 6.01


def test_background_is_added_at_the_asked_level() -> None:
    spec = AugmentSpec(background=1, background_snr_db=(10, 10))
    rng = np.random.default_rng(0)
    added = [with_background(spec, SOUND, rng) - SOUND for _ in range(20)]
    for noise in added:
        assert _level_db(SOUND) - _level_db(noise) == pytest.approx(10, abs=0.01)
    assert not np.allclose(added[0], added[1])


def test_background_reaches_its_share_of_the_units() -> None:
    spec, rng = AugmentSpec(background=0.25), np.random.default_rng(0)
    hit = [with_background(spec, SOUND, rng) is not SOUND for _ in range(400)]
    assert 0.18 < np.mean(hit) < 0.32


def test_mixture_of_equal_levels() -> None:
    rng = np.random.default_rng(1)
    quiet = 0.01 * np.random.default_rng(4).standard_normal(4096).astype(np.float32)
    sound, share = mixed(SOUND, quiet, rng)
    rest = (sound - share * SOUND) / (1 - share)
    assert 0 <= share <= 1
    assert _level_db(rest) == pytest.approx(_level_db(SOUND), abs=0.05)
    assert np.corrcoef(rest, quiet)[0, 1] > 0.999


def test_mixture_of_levels_as_they_are() -> None:
    quiet = 0.01 * np.random.default_rng(4).standard_normal(4096).astype(np.float32)
    rng = np.random.default_rng(1)
    sound, share = mixed(SOUND, quiet, rng, "as_is")
    assert 0 < share < 1
    assert np.allclose(sound, share * SOUND + (1 - share) * quiet, atol=1e-6)


def test_share_is_drawn_evenly_and_the_same_for_both_levels() -> None:
    shares = []
    for level in ("matched", "as_is"):
        rng = np.random.default_rng(5)
        shares.append([mixed(SOUND, SOUND, rng, level)[1] for _ in range(400)])
    assert shares[0] == shares[1]
    deciles = np.histogram(shares[0], 10, (0, 1))[0]
    assert deciles.min() > 20


def test_silence_stays_finite() -> None:
    silence, rng = np.zeros(4096, np.float32), np.random.default_rng(0)
    spec = AugmentSpec(background=1, gain_db=6)
    assert np.isfinite(with_background(spec, silence, rng)).all()
    assert np.isfinite(mixed(silence, silence, rng)[0]).all()
