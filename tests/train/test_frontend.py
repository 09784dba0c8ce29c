"""The front end in torch gives the agent's numbers, at every level of sound."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.features import FeatureSpec, LogMelSpec, SecomSpec, units
from asd_train.frontend import FrontEnd

SMALL = {"window": 256, "hop": 64, "unit_frames": 4, "unit_shift": 2}
SPECS: dict[str, FeatureSpec] = {
    "secom": SecomSpec(),
    "secom, no Nyquist": SecomSpec(drop="nyquist", **SMALL),
    "secom, normalised": SecomSpec(
        mean_db=tuple(np.linspace(-90, -40, 128)),
        std_db=tuple(np.linspace(1, 9, 128)),
        **SMALL,
    ),
    "mel": LogMelSpec(),
    "mel, normalised": LogMelSpec(
        n_mels=16, low_hz=100, mean_db=(-60.0,) * 16, std_db=(7.0,) * 16, **SMALL
    ),
}


def _first_units(spec: FeatureSpec, sounds: np.ndarray) -> np.ndarray:
    return np.stack([units(spec, sound)[0] for sound in sounds])[:, None]


@pytest.mark.parametrize("name", SPECS)
def test_units_are_the_agents(name: str) -> None:
    spec, rng = SPECS[name], np.random.default_rng(3)
    n = spec.unit_samples
    tone = np.sin(np.arange(n) * 0.37)
    sounds = np.stack(
        [
            rng.standard_normal(n) * 0.1,
            tone,  # bins beside it are 120 dB below
            tone * 1e-4,
            np.round(rng.standard_normal(n)) / 32768,  # the last bits
            np.zeros(n),
        ]
    ).astype(np.float32)
    found = FrontEnd(spec)(torch.from_numpy(sounds))
    assert found.dtype == torch.float32
    assert found.shape == (5, 1, *spec.unit_shape)
    np.testing.assert_allclose(found, _first_units(spec, sounds), atol=1e-4, rtol=0)


@given(level_db=st.floats(-150, 0), seed=st.integers(0, 2**32))
def test_units_are_the_agents_at_any_level(level_db: float, seed: int) -> None:
    spec = SPECS["secom, no Nyquist"]
    noise = np.random.default_rng(seed).standard_normal((1, spec.unit_samples))
    sounds = (noise * 10 ** (level_db / 20)).astype(np.float32)
    found = FrontEnd(spec)(torch.from_numpy(sounds))
    np.testing.assert_allclose(found, _first_units(spec, sounds), atol=1e-4, rtol=0)
