"""Bands of frequency: what is louder is named, where it is."""

import numpy as np
import pytest

from asd_agent.features.spec import FeatureSpec, LogMelSpec, SecomSpec
from asd_agent.features.stream import band_edges_hz, units
from asd_agent.scoring.explain import GROUPS, BandGroups

SPECS: list[FeatureSpec] = [
    SecomSpec(),
    SecomSpec(window=64, hop=16),
    LogMelSpec(),
    LogMelSpec(n_mels=2),
]


def groups(spec: FeatureSpec) -> BandGroups:
    return BandGroups(band_edges_hz(spec), spec.mean_db, spec.std_db)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.bands}")
def test_groups_cover_all_bands_once_in_order(spec: FeatureSpec) -> None:
    made = groups(spec)
    assert 2 <= len(made) <= GROUPS
    spectrum = made.spectrum(np.zeros(len(made), np.float32))
    edges = band_edges_hz(spec)
    assert spectrum.lo_hz[0] == pytest.approx(edges[0, 0], abs=0.05)
    assert spectrum.hi_hz[-1] == pytest.approx(edges[-1, 1], abs=0.05)
    assert list(spectrum.lo_hz) == sorted(set(spectrum.lo_hz))
    assert all(lo < hi for lo, hi in zip(spectrum.lo_hz, spectrum.hi_hz, strict=True))


def test_a_tone_is_found_where_it_is() -> None:
    spec = SecomSpec()
    rng = np.random.default_rng(0)
    normal = rng.normal(0, 0.01, spec.unit_samples).astype(np.float32)
    n = np.arange(spec.unit_samples)
    tone = 0.3 * np.sin(2 * np.pi * 3000 / 16_000 * n)
    made = groups(spec)
    before = made.levels(units(spec, normal)[0])
    after = made.levels(units(spec, normal + tone.astype(np.float32))[0])
    bands = made.differences(after, before)
    assert len(bands) == 3
    assert bands[0].lo_hz <= 3000 <= bands[0].hi_hz
    assert bands[0].delta_db > 1
    assert abs(bands[0].delta_db) >= abs(bands[1].delta_db) >= abs(bands[2].delta_db)
    quieter = made.differences(before, after)
    assert quieter[0].delta_db == -bands[0].delta_db


def test_levels_are_in_decibel_whatever_the_normalisation() -> None:
    plain = SecomSpec(window=256, hop=64, unit_frames=8, unit_shift=4)
    scaled = plain.model_copy(
        update={"mean_db": (-50.0,) * 128, "std_db": (7.0,) * 128}
    )
    sound = np.random.default_rng(1).normal(0, 0.1, 2000).astype(np.float32)
    np.testing.assert_allclose(
        groups(plain).levels(units(plain, sound)[0]),
        groups(scaled).levels(units(scaled, sound)[0]),
        atol=1e-4,
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{spec.bands}")
def test_statistics_are_those_of_each_groups_level_over_the_frames(
    spec: FeatureSpec,
) -> None:
    rng = np.random.default_rng(3)
    normed = spec.model_copy(
        update={
            "mean_db": tuple(rng.uniform(-80, -20, spec.bands)),
            "std_db": tuple(rng.uniform(1, 9, spec.bands)),
        }
    )
    values = rng.normal(size=spec.unit_shape).astype(np.float32)
    level = (
        values * np.array(normed.std_db)[:, None] + np.array(normed.mean_db)[:, None]
    )
    made = groups(normed)
    spectrum = made.spectrum(np.zeros(len(made), np.float32))
    edges = band_edges_hz(spec)
    wanted = []
    for low, high in zip(spectrum.lo_hz, spectrum.hi_hz, strict=True):
        inside = (edges[:, 0] > low - 0.1) & (edges[:, 1] < high + 0.1)
        wanted.append(level[inside].mean(axis=0))
    found = made.statistics(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found,
        np.concatenate([np.mean(wanted, axis=1), np.std(wanted, axis=1)]),
        atol=1e-3,
    )
