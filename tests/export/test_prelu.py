"""PReLU rewritten is the same function, and runs in int8 from end to end."""

from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from asd_export import onnx, tflite
from asd_export.calibrate import MINMAX, ranges, spread
from asd_export.prelu import PairedPReLU, without_prelu
from support.tiny_models import SHAPE, SIZE, random_units, tiny_network

SLOPES = st.lists(st.floats(-2, 3, width=32), min_size=1, max_size=8)


def prelu(slopes: list[float]) -> nn.PReLU:
    module = nn.PReLU(len(slopes))
    with torch.no_grad():
        module.weight.copy_(torch.tensor(slopes))
    return module


@given(slopes=SLOPES, seed=st.integers(0, 2**31))
def test_same_function_for_any_slope(slopes: list[float], seed: int) -> None:
    channels = len(slopes)
    generator = torch.Generator().manual_seed(seed)
    maps = 4 * torch.randn(2, channels, 3, 3, generator=generator)
    original = prelu(slopes)
    with torch.no_grad():
        difference = PairedPReLU(original, channels)(maps) - original(maps)
    assert float(difference.abs().max()) <= 1e-5


def test_one_slope_for_all_channels() -> None:
    maps = torch.randn(1, 5, 4, 4)
    original = nn.PReLU()
    with torch.no_grad():
        found, expected = PairedPReLU(original, 5)(maps), original(maps)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def learnt_slopes(low: float, high: float) -> nn.Module:
    """The tiny network as if training had moved its slopes apart."""
    network = tiny_network(lambda: nn.PReLU(8))
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, low, high)
    return network.eval()


def test_whole_network_is_equal_and_the_original_stays() -> None:
    network = learnt_slopes(-0.5, 1.5)
    rewritten = without_prelu(network, SHAPE)
    units = torch.from_numpy(random_units(8)[:, None])
    with torch.no_grad():
        torch.testing.assert_close(rewritten(units), network(units), atol=1e-5, rtol=0)
    assert not [m for m in rewritten.modules() if isinstance(m, nn.PReLU)]
    assert len([m for m in network.modules() if isinstance(m, nn.PReLU)]) == 2


def quantised(
    module: ModuleType, network: nn.Module, units: NDArray[np.float32]
) -> bytes:
    """An int8 file of a runtime's module, ranges by minimum and maximum."""
    content = module.export_float(network, SHAPE)
    found: bytes = module.quantise(
        content, ranges(spread(module.tap(content), units), MINMAX)
    )
    return found


@pytest.mark.parametrize("high", [0.9, 2.0])
def test_int8_leaves_no_float_behind(high: float) -> None:
    rewritten = without_prelu(learnt_slopes(0.1, high), SHAPE)
    units = random_units(8)
    for module in (onnx, tflite):
        found = module.structure(quantised(module, rewritten, units))
        assert found.fast_int8, (module.__name__, found)


def test_plain_prelu_is_what_breaks_int8() -> None:
    # The reason for the rewrite, and proof that the count sees it.
    units = random_units(8)
    for module in (onnx, tflite):
        content = quantised(module, learnt_slopes(0.1, 0.9), units)
        found = module.structure(content)
        assert found.islands > 0, (module.__name__, found)


def test_size_is_kept() -> None:
    unit = torch.from_numpy(random_units(1)[:, None])
    with torch.no_grad():
        out = without_prelu(tiny_network(), SHAPE)(unit)
    assert np.shape(out) == (1, SIZE)
