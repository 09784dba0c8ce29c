"""What is simulated in torch is what the files do."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from asd_agent.inference.embedder import EmbedderSpec, RuntimeName
from asd_agent.inference.open import open_embedder
from asd_export.calibrate import MINMAX, WAYS, Way
from asd_export.convert import candidates
from asd_export.equalise import equalise
from asd_export.files import FILES
from asd_export.parity import cosines, embed_all, embed_reference
from asd_export.simulate import Simulation, Values
from asd_train.models import NetworkSpec, build_network
from support.tiny_models import (
    SHAPE,
    SIZE,
    outliers,
    random_units,
    settle,
    tiny_network,
)

REAL_SHAPE = (64, 32)
SPECS: list[dict[str, Any]] = [
    {"name": "mobilenetv2"},
    {"name": "mobilefacenet", "activation": "prelu"},
    {"name": "two_branch", "centred": True},
]


@cache
def real_network(
    name: str, activation: str = "relu", centred: bool = False
) -> nn.Module:
    torch.manual_seed(0)
    spec = NetworkSpec.model_validate(
        {"name": name, "activation": activation, "centred": centred}
    )
    return settle(build_network(spec, REAL_SHAPE), REAL_SHAPE)


def real_units(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, *REAL_SHAPE), np.float32)


def simulated(
    network: nn.Module,
    runtime: RuntimeName,
    units: NDArray[np.float32],
    asked: NDArray[np.float32],
    way: Way = MINMAX,
    *,
    equal: bool = True,
) -> NDArray[np.float32]:
    simulation = Simulation(network, (units.shape[1], units.shape[2]), runtime)
    if equal:
        equalise(simulation, units)
    simulation.calibrate(units, way)
    simulation.round(simulation.places)
    return embed_reference(simulation.graph, asked)


@pytest.mark.parametrize("way", [WAYS[0], WAYS[2]], ids=lambda way: way.name)
@pytest.mark.parametrize("runtime", ["onnx", "tflite"])
def test_the_errors_are_those_of_the_real_file(runtime: RuntimeName, way: Way) -> None:
    network, units, asked = tiny_network(), random_units(20, 1), random_units(20, 2)
    plain = embed_reference(network, asked)
    (made,) = candidates(
        network, SHAPE, units, (f"{runtime}-int8",), lambda _: None, ways=(way,)
    )
    spec = EmbedderSpec(size=SIZE, models=(FILES[made.name],))
    opened = open_embedder(spec, lambda _: made.content, unit_shape=SHAPE)
    real = embed_all(opened, asked) - plain
    imitated = simulated(network, runtime, units, asked, way) - plain
    assert cosines(imitated, real).mean() > 0.8
    power = np.square(imitated).sum() / np.square(real).sum()
    assert 0.8 < power < 1.25


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_a_real_network_is_simulated(spec: dict[str, Any]) -> None:
    network = real_network(**spec)
    units = real_units(8)
    plain = embed_reference(network, units)
    simulation = Simulation(network, REAL_SHAPE, "onnx")
    # Folded and rewritten it is the same function, until it rounds.
    np.testing.assert_allclose(
        embed_reference(simulation.graph, units), plain, atol=1e-5
    )
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    prelus = [m for m in network.modules() if isinstance(m, nn.PReLU)]
    rounded = [p for p in simulation.places.values() if p.convolution is not None]
    means = 2 if spec["name"] == "two_branch" else 0
    assert len(rounded) == len(convs) + 2 * len(prelus) + means
    agreement = cosines(simulated(network, "onnx", units, units), plain)
    assert 0.99 < agreement.min() < agreement.max() < 1 - 1e-6


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_equal_channels_are_the_same_function(spec: dict[str, Any]) -> None:
    network = real_network(**spec)
    units = real_units(8)
    simulation = Simulation(network, REAL_SHAPE, "onnx")
    before = {k: v.clone() for k, v in simulation.graph.state_dict().items()}
    equalise(simulation, units)
    moved = [
        k for k, v in simulation.graph.state_dict().items() if (v != before[k]).any()
    ]
    assert len(moved) > 10
    asked = real_units(8, seed=1)
    np.testing.assert_allclose(
        embed_reference(simulation.graph, asked),
        embed_reference(network, asked),
        atol=1e-5,
    )


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["name"]))
def test_what_was_simulated_can_be_again(spec: dict[str, Any]) -> None:
    """As one that was fine-tuned is: no place is lost, and the function stays."""
    network = real_network(**spec)
    first = Simulation(network, REAL_SHAPE, "onnx")
    equalise(first, real_units(8))
    second = Simulation(first.network(), REAL_SHAPE, "onnx")
    inserted = [m for m in second.graph.modules() if isinstance(m, Values)]
    assert len(second.places) == len(first.places) == len(inserted)
    equalise(second, real_units(8))
    asked = real_units(4, seed=1)
    np.testing.assert_allclose(
        embed_reference(second.graph, asked), embed_reference(network, asked), atol=1e-5
    )


def test_equal_channels_fit_one_range() -> None:
    network, units = outliers(40), random_units(20)
    plain = embed_reference(network, units)
    before, after = (
        cosines(simulated(network, "onnx", units, units, equal=equal), plain).mean()
        for equal in (False, True)
    )
    assert before < 0.99
    assert after > 0.999


def test_one_place_at_a_time_adds_up() -> None:
    network, units = tiny_network(), random_units(20)
    plain = embed_reference(network, units)
    simulation = Simulation(network, SHAPE, "onnx")
    simulation.calibrate(units, MINMAX)
    noise = []
    for name in simulation.places:
        simulation.round([name])
        found = embed_reference(simulation.graph, units)
        noise.append(float(np.square(found - plain).sum()))
    simulation.round(simulation.places)
    together = float(np.square(embed_reference(simulation.graph, units) - plain).sum())
    assert min(noise) > 0
    assert 0.6 < together / sum(noise) < 1.6


def test_what_is_taken_out_rounds_no_more() -> None:
    network, units = tiny_network(), random_units(8)
    simulation = Simulation(network, SHAPE, "onnx")
    simulation.calibrate(units, MINMAX)
    simulation.round(simulation.places)
    plain = simulation.network()
    np.testing.assert_allclose(
        embed_reference(plain, units), embed_reference(network, units), atol=1e-5
    )
    kinds = {type(m).__name__ for m in plain.modules()}
    assert not kinds & {"Values", "Convolution", "BatchNorm2d"}
