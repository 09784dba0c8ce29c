"""What a front end may be, and the sizes that follow from it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from asd_agent.features.spec import FeatureSpec, LogMelSpec, SecomSpec

ADAPTER: TypeAdapter[FeatureSpec] = TypeAdapter(FeatureSpec)


def test_the_defaults_are_those_of_the_paper() -> None:
    spec = SecomSpec()
    assert spec.unit_shape == (1024, 32)
    assert spec.unit_samples == 17_920
    assert spec.shift_samples == 8_192
    assert spec.units_in(160_000) == 18
    assert LogMelSpec().unit_shape == (128, 32)


@given(
    hop=st.integers(1, 64),
    shift=st.integers(1, 8),
    times=st.integers(1, 4),
    samples=st.integers(0, 5000),
)
def test_units_in_counts_units_that_fit(
    hop: int, shift: int, times: int, samples: int
) -> None:
    spec = SecomSpec(window=64, hop=hop, unit_frames=shift * times, unit_shift=shift)
    units = spec.units_in(samples)
    last = (units - 1) * spec.shift_samples + spec.unit_samples
    assert units == 0 or last <= samples
    assert last + spec.shift_samples > samples


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"hop": 3000}, "hop 3000 is longer than window 2048"),
        ({"unit_frames": 33}, "33 is not a multiple of unit_shift 16"),
        ({"mean_db": (1.0, 2.0)}, "mean_db has 2 values, expected 1024"),
        ({"std_db": (1.0,) * 1023 + (0.0,)}, "not above 0"),
        ({"std_db": (1.0,) * 1023 + (float("nan"),)}, "not above 0"),
        ({"drop": "both"}, "'dc' or 'nyquist'"),
        ({"hopp": 3}, "Extra inputs"),
        ({"kind": "mfcc"}, "'secom', 'logmel'"),
        ({"kind": "logmel", "high_hz": 9000.0}, "half the rate, 8000"),
        ({"kind": "logmel", "low_hz": 500.0, "high_hz": 400.0}, "this order"),
        ({"kind": "logmel", "n_mels": 512}, "holds no bin"),
        ({"kind": "logmel", "n_mels": 1}, "greater than or equal to 2"),
    ],
)
def test_an_impossible_front_end_is_refused(values: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        ADAPTER.validate_python({"kind": "secom", **values})


@pytest.mark.parametrize(
    "spec", [SecomSpec(drop="nyquist"), LogMelSpec(n_mels=2, std_db=(1.5, 2.5))]
)
def test_a_spec_survives_its_manifest(spec: FeatureSpec) -> None:
    assert ADAPTER.validate_json(spec.model_dump_json()) == spec
    assert json.loads(spec.model_dump_json())["kind"] == spec.kind
