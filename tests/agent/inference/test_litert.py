"""Quantised inputs and outputs of LiteRT are translated as the file says."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from asd_agent.errors import BundleError
from asd_agent.inference.embedder import ModelFile
from asd_agent.inference.library import Library
from asd_agent.inference.litert import LitertEmbedder

SHAPE = (2, 3)
MODEL = ModelFile(file="m.tflite", runtime="tflite", precision="int8")


class Echo:
    """An interpreter that gives its input tensor back as its output."""

    def __init__(self, dtype: Any, scale: float, zero_point: int) -> None:
        self.detail = {
            "index": 0,
            "name": "tensor",
            "dtype": dtype,
            "quantization": (scale, zero_point),
        }
        self.value: NDArray[Any] = np.zeros((1, 1, *SHAPE), dtype)

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{**self.detail, "shape": np.array([1, 1, *SHAPE])}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{**self.detail, "shape": np.array([1, 6])}]

    def set_tensor(self, index: int, value: NDArray[Any]) -> None:
        assert value.dtype == self.detail["dtype"]
        self.value = value.copy()

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> NDArray[Any]:
        return self.value.reshape(1, 6)


def echo(
    dtype: Any = np.int8, scale: float = 0.1, zero_point: int = 0
) -> tuple[LitertEmbedder, Echo]:
    interpreter = Echo(dtype, scale, zero_point)
    module: Any = SimpleNamespace(Interpreter=lambda **_: interpreter)
    library = Library("tflite", module, "echo", "1")
    return LitertEmbedder(library, MODEL, b"", SHAPE, 6), interpreter


@given(
    scale=st.floats(1e-3, 10),
    zero_point=st.integers(-128, 127),
    steps=st.lists(st.floats(-400, 400), min_size=6, max_size=6),
)
def test_int8_keeps_what_fits_and_clips_the_rest(
    scale: float, zero_point: int, steps: list[float]
) -> None:
    unit = (np.array(steps) * scale).astype(np.float32).reshape(SHAPE)
    found = echo(scale=scale, zero_point=zero_point)[0].embed(unit)
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    expected = np.clip(unit.ravel(), low, high)
    # Half a step, and what float32 loses.
    assert np.abs(found - expected).max() <= 0.5 * scale * 1.001 + 1e-6


def test_int8_values_are_those_of_the_definition() -> None:
    embedder, interpreter = echo(scale=0.5, zero_point=-3)
    unit = np.array([[0.0, 1.0, -1.0], [0.74, 1000.0, -1000.0]], np.float32)
    embedder.embed(unit)
    assert interpreter.value.ravel().tolist() == [-3, -1, -5, -2, 127, -128]


def test_float_passes_unchanged() -> None:
    unit = np.arange(6, dtype=np.float32).reshape(SHAPE)
    found = echo(np.float32, scale=0.0)[0].embed(unit)
    np.testing.assert_array_equal(found, unit.ravel())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_int8_without_a_scale_is_refused(scale: float) -> None:
    with pytest.raises(BundleError, match=r"m\.tflite: tensor is int8 without"):
        echo(scale=scale)


def test_another_type_is_refused() -> None:
    with pytest.raises(BundleError, match=r"m\.tflite: tensor is int16, expected"):
        echo(np.int16)
