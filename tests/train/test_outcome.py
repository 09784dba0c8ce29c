"""What a run leaves for the exporter."""

import numpy as np

from asd_agent.features import SecomSpec, units
from asd_train.outcome import QUIETEST_DB, softer


def test_calibration_units_are_those_of_a_less_sensitive_microphone() -> None:
    spec = SecomSpec(window=128, hop=64)
    spec = spec.model_copy(
        update={
            "mean_db": tuple(np.linspace(-60, -40, spec.bands).tolist()),
            "std_db": tuple(np.linspace(5, 15, spec.bands).tolist()),
        }
    )
    samples = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    found = units(spec, samples)[:6]
    moved = softer(spec, found)
    np.testing.assert_array_equal(moved[0::2], found[0::2])
    quiet = units(spec, samples * np.float32(10 ** (QUIETEST_DB / 20)))[:6]
    np.testing.assert_allclose(moved[5], quiet[5], atol=0.01)
    between = units(spec, samples * np.float32(10 ** (QUIETEST_DB / 40)))[:6]
    np.testing.assert_allclose(moved[3], between[3], atol=0.01)
