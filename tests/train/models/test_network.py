"""The networks against the tables of the SECOM report."""

import pytest
import torch
from torch import Tensor, nn

from asd_agent.errors import ConfigError
from asd_train.models import TABLES, NetworkSpec, build_network

MOBILENETV2_MAPS = (
    (32, 512, 16),
    (16, 512, 16),
    (24, 256, 8),
    (32, 128, 4),
    (64, 64, 2),
    (96, 64, 2),
    (160, 32, 1),
    (320, 32, 1),
    (1280, 32, 1),
    (1280, 1, 1),
    (128, 1, 1),
)
MOBILEFACENET_MAPS = (
    (64, 512, 16),
    (64, 512, 16),
    (64, 256, 8),
    (128, 128, 4),
    (128, 64, 2),
    (128, 32, 1),
    (128, 32, 1),
    (512, 32, 1),
    (512, 1, 1),
    (128, 1, 1),
)


def _maps(network: nn.Module, unit_shape: tuple[int, int]) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(tuple(output.shape[1:]))

    stages = network.get_submodule("stages")
    for stage in stages.children():
        stage.register_forward_hook(note)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, *unit_shape))
    return seen


def _macs(network: nn.Module) -> int:
    total = 0

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        total += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, 1024, 32))
    return total


@pytest.mark.parametrize(
    ("spec", "maps"),
    [
        (NetworkSpec(name="mobilenetv2"), MOBILENETV2_MAPS),
        (NetworkSpec(name="mobilefacenet"), MOBILEFACENET_MAPS),
    ],
)
def test_every_map_is_that_of_the_paper(
    spec: NetworkSpec, maps: tuple[tuple[int, ...], ...]
) -> None:
    assert tuple(_maps(build_network(spec), (1024, 32))) == maps


@pytest.mark.parametrize(
    ("spec", "macs", "parameters"),
    [
        (NetworkSpec(name="mobilenetv2"), 191_033_344, 2_387_264),
        (
            NetworkSpec(name="mobilefacenet", activation="prelu"),
            372_686_848,
            993_280,
        ),
    ],
)
def test_cost_and_size(spec: NetworkSpec, macs: int, parameters: int) -> None:
    network = build_network(spec)
    assert _macs(network) == macs
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", list(TABLES))
def test_last_kernel_is_the_whole_map(name: str) -> None:
    shape = (512, 64)
    network = build_network(NetworkSpec.model_validate({"name": name}), shape)
    maps = _maps(network, shape)
    assert maps[-3][1:] == (16, 2)
    assert maps[-2][1:] == (1, 1)


def test_prelu_has_one_slope_a_channel_and_relu_none() -> None:
    prelu = build_network(NetworkSpec(name="mobilefacenet", activation="prelu"))
    slopes = [m for m in prelu.modules() if isinstance(m, nn.PReLU)]
    assert len(slopes) == 33
    assert slopes[0].num_parameters == 64
    relu = build_network(NetworkSpec(name="mobilefacenet"))
    assert not any(isinstance(m, nn.PReLU | nn.ReLU6) for m in relu.modules())


def test_relu_of_mobilenetv2_is_bounded() -> None:
    network = build_network(NetworkSpec(name="mobilenetv2"))
    assert any(isinstance(m, nn.ReLU6) for m in network.modules())


@pytest.mark.parametrize("name", list(TABLES))
def test_every_convolution_is_normalised(name: str) -> None:
    network = build_network(NetworkSpec.model_validate({"name": name}))
    kinds = [type(m) for m in network.modules()]
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    bare = sum(conv.bias is not None for conv in convs)
    assert bare == (1 if name == "mobilenetv2" else 0)
    assert kinds.count(nn.BatchNorm2d) == len(convs) - bare


def test_embedding_size_and_batch() -> None:
    network = build_network(NetworkSpec(name="mobilefacenet", embedding=7), (64, 32))
    assert network.eval()(torch.randn(3, 1, 64, 32)).shape == (3, 7)


@pytest.mark.parametrize("shape", [(1000, 32), (1024, 31), (0, 32)])
def test_units_that_do_not_shrink_evenly_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="multiples of 32"):
        build_network(NetworkSpec(name="mobilefacenet"), shape)
