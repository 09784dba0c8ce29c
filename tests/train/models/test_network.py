"""The networks against the tables of the SECOM report."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from asd_agent.errors import ConfigError
from asd_train.models import TABLES, NetworkSpec, build_network
from asd_train.models.layers import TimeMean

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


TWO_BRANCH_MAPS = {
    "spectrogram": (
        (1, 1024, 128),
        (16, 512, 64),
        (24, 256, 32),
        (32, 128, 16),
        (64, 64, 8),
        (96, 32, 4),
        (256, 32, 4),
        (256, 1, 1),
        (128, 1, 1),
    ),
    "spectrum": (
        (1, 1024, 1),
        (64, 256, 1),
        (128, 64, 1),
        (128, 32, 1),
        (128, 1, 1),
        (128, 1, 1),
    ),
}


def _maps(
    network: nn.Module, unit_shape: tuple[int, int], branch: str = "stages"
) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(tuple(output.shape[1:]))

    stages = network.get_submodule(branch)
    for stage in stages.children():
        stage.register_forward_hook(note)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, *unit_shape))
    return seen


def _macs(network: nn.Module, unit_shape: tuple[int, int] = (1024, 32)) -> int:
    total = 0

    def count(module: nn.Module, _inputs: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | TimeMean)
        total += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | TimeMean):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, *unit_shape))
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


@pytest.mark.parametrize(
    ("frames", "macs", "parameters"),
    [(32, 42_627_072, 992_944), (128, 145_932_288, 1_017_520)],
)
def test_cost_and_size_of_two_branches(frames: int, macs: int, parameters: int) -> None:
    spec = NetworkSpec(name="two_branch", embedding=256, centred=True)
    network = build_network(spec, (1024, frames))
    assert _macs(network, (1024, frames)) == macs <= 150_000_000
    assert sum(p.numel() for p in network.parameters()) == parameters <= 2_000_000


@pytest.mark.parametrize("branch", TWO_BRANCH_MAPS)
def test_every_map_of_two_branches(branch: str) -> None:
    spec = NetworkSpec(name="two_branch", embedding=256, centred=True)
    maps = _maps(build_network(spec, (1024, 128)), (1024, 128), branch)
    assert tuple(maps) == TWO_BRANCH_MAPS[branch]


@pytest.mark.parametrize("shape", [(32, 32), (64, 32), (128, 96), (1024, 32)])
def test_two_branches_take_every_multiple_of_32(shape: tuple[int, int]) -> None:
    network = build_network(NetworkSpec(name="two_branch", embedding=12), shape)
    assert network.eval()(torch.randn(2, 1, *shape)).shape == (2, 12)


def _settled(spec: NetworkSpec) -> nn.Module:
    """Build for 64 x 32, batch norm with real statistics as training gives it."""
    torch.manual_seed(0)
    network = build_network(spec, (64, 32))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    with torch.inference_mode():
        for _ in range(40):
            network(torch.randn(16, 1, 64, 32) + torch.randn(16, 1, 64, 1))
    return network.eval()


def test_each_branch_hears_its_own_part() -> None:
    network = _settled(NetworkSpec(name="two_branch", embedding=8, centred=True))
    units = torch.randn(4, 1, 64, 32)
    with torch.inference_mode():
        plain = network(units)
        # What stands still is added: a spectrum of any shape, the same each frame.
        louder = network(units + torch.randn(4, 1, 64, 1))
        # What moves is turned round: the mean over time stays what it was.
        turned = network(units.flip(3))
    assert torch.allclose(louder[:, :4], plain[:, :4], atol=1e-4)
    assert not torch.allclose(louder[:, 4:], plain[:, 4:], atol=0.1)
    assert torch.allclose(turned[:, 4:], plain[:, 4:], atol=1e-4)
    assert not torch.allclose(turned[:, :4], plain[:, :4], atol=0.1)


def test_not_centred_the_spectrogram_keeps_the_level() -> None:
    network = _settled(NetworkSpec(name="two_branch"))
    units = torch.randn(2, 1, 64, 32)
    with torch.inference_mode():
        moved = (network(units + 3) - network(units)).abs()
    assert moved[:, :64].max() > 0.1


def test_weights_of_a_mean_are_neither_learnt_nor_stored() -> None:
    spec = NetworkSpec(name="two_branch", centred=True)
    network = build_network(spec, (64, 32))
    means = [m for m in network.modules() if isinstance(m, TimeMean)]
    assert len(means) == 2
    assert not any(list(m.parameters()) or m.state_dict() for m in means)
    units = torch.randn(2, 1, 64, 32)
    assert torch.allclose(TimeMean(32)(units), units.mean(3, keepdim=True), atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "two_branch", "embedding": 7}, "does not split evenly"),
        ({"name": "mobilefacenet", "centred": True}, "two_branch alone"),
    ],
)
def test_a_spec_that_no_table_fits_is_refused(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        NetworkSpec.model_validate(values)


def test_names_of_weights_stay_those_of_older_runs() -> None:
    for name in ("mobilenetv2", "mobilefacenet"):
        network = build_network(NetworkSpec.model_validate({"name": name}))
        assert {key.split(".")[0] for key in network.state_dict()} == {"stages"}


@pytest.mark.parametrize(
    ("name", "branch"), [(n, b) for n, table in TABLES.items() for b in table.branches]
)
def test_last_kernel_is_the_whole_map(name: str, branch: str) -> None:
    shape = (512, 64)
    network = build_network(NetworkSpec.model_validate({"name": name}), shape)
    maps = _maps(network, shape, branch)
    assert maps[-3][1:] == ((16, 1) if branch == "spectrum" else (16, 2))
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
