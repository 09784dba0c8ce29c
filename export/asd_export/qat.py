"""Fine-tune for int8: a network learns to give its own embeddings while it rounds."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import (
    is_parametrized,
    register_parametrization,
    remove_parametrizations,
)
from tqdm import tqdm

from asd_agent.inference.embedder import RuntimeName
from asd_export.calibrate import Way
from asd_export.equalise import equalise
from asd_export.simulate import Simulation

BATCH = 16
MIXED = 0.5
"""Part of the units that are mixtures of two: the network in float answers for any"""
LEARNING_RATE = 1e-4
"""Of weights as parts of the largest of their channel: folded batch norm leaves
channels hundreds of times as large as others, which must not move less for it. Ten
times as much unlearns a real network faster than it learns to round"""
WARM_UP = 0.1
"""Part of the steps in which the learning rate rises"""
RANGES_EVERY = 25
"""Steps after which ranges are set anew, since they move with the weights, and the
weights are tested"""
TESTED = 5
"""Every fifth unit is not learnt from: the weights that suit them best are kept"""
SMALLEST = 1e-6
SEED = 1


@dataclass(frozen=True, slots=True)
class Tuned:
    """A network that was fine-tuned."""

    network: nn.Module
    """In eval mode, batch norm folded and PReLU rewritten"""
    before: float
    after: float
    """Mean squared distance between embeddings of the rounded network and those of
    the float network, all of length 1, of units that were not learnt from"""


def tune(
    network: nn.Module,
    units: NDArray[np.float32],
    runtime: RuntimeName,
    way: Way,
    steps: int,
) -> Tuned:
    """Fine-tune the weights by what the network gave in float.

    Its channels are first made equally loud, which changes nothing in float and much
    in int8 where a few are louder than all others. Then it learns while it rounds.
    Rounding has no slope; its gradient is taken to be 1 between the ends of a range
    and 0 beyond (Bengio et al. 2013; Jacob et al. 2018).

    Parameters
    ----------
    network
        Trained, in eval mode; not changed.
    units : array, shape ``(n, bands, unit_frames)``
        Normalised features of training sound.
    runtime
        Whose int8 is imitated.
    way
        How the ranges are set.
    steps
        Batches.
    """
    simulation = Simulation(network, (units.shape[1], units.shape[2]), runtime)
    equalise(simulation, units)
    simulation.round(simulation.places)
    learnt = _by_channel(simulation)
    tested = np.arange(len(units)) % TESTED == 0
    few = len(units) < 2 * TESTED  # they must serve for both
    taught = units if few else units[~tested]
    test = _Test(network, units if few else units[tested])
    optimiser = torch.optim.Adam(learnt, lr=LEARNING_RATE)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _share(step / steps)
    )
    rng = np.random.default_rng(SEED)
    for step in tqdm(range(steps), "fine-tuning", leave=False, disable=None):
        if step % RANGES_EVERY == 0:
            simulation.calibrate(units, way)
            test.ask(simulation)
        batch = _batch(taught, rng)
        loss = _distance(simulation.graph(batch), _embed(network, batch))
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        rate.step()
    simulation.calibrate(units, way)
    test.ask(simulation)
    simulation.graph.load_state_dict(test.kept)
    for place in simulation.places.values():
        if place.convolution is not None:
            _settle(place.convolution.conv)
    return Tuned(simulation.network(), test.distances[0], min(test.distances))


class _Test:
    """Asks now and then how units fare that are not learnt from, and keeps the best."""

    def __init__(self, network: nn.Module, units: NDArray[np.float32]) -> None:
        self._batches = torch.split(torch.from_numpy(units[:, None]), BATCH)
        self._wanted = [_embed(network, batch) for batch in self._batches]
        self.distances: list[float] = []
        """Of each time that it was asked"""
        self.kept: dict[str, Tensor] = {}
        """Weights at the best of them"""

    def ask(self, simulation: Simulation) -> None:
        with torch.no_grad():
            found = [
                _distance(simulation.graph(batch), wanted)
                for batch, wanted in zip(self._batches, self._wanted, strict=True)
            ]
        distance = float(torch.stack(found).mean())
        if distance < min(self.distances, default=math.inf):
            state = simulation.graph.state_dict()
            self.kept = {name: weight.clone() for name, weight in state.items()}
        self.distances.append(distance)


class _Scaled(nn.Module):
    """A weight as a part of the largest of its channel."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, part: Tensor) -> Tensor:
        return part * self.get_buffer("scale")

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight / self.get_buffer("scale")


def _by_channel(simulation: Simulation) -> list[Tensor]:
    """Let all weights be learnt as parts of the largest of their channel."""
    found: list[Tensor] = []
    for place in simulation.places.values():
        conv = place.convolution.conv if place.convolution is not None else None
        if conv is None or not conv.weight.requires_grad:
            continue
        most = conv.weight.detach().abs().amax(dim=(1, 2, 3)).clamp_min(SMALLEST)
        register_parametrization(conv, "weight", _Scaled(most[:, None, None, None]))
        if conv.bias is not None:
            register_parametrization(conv, "bias", _Scaled(most))
        found += conv.parameters()
    return found


def _settle(conv: nn.Conv2d) -> None:
    for name in ("weight", "bias"):
        if is_parametrized(conv, name):
            remove_parametrizations(conv, name)


def _embed(network: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = functional.normalize(network(batch))
    return found


def _distance(embeddings: Tensor, wanted: Tensor) -> Tensor:
    return (functional.normalize(embeddings) - wanted).square().sum(1).mean()


def _share(done: float) -> float:
    """Part of the learning rate when a part of the steps is done."""
    if done < WARM_UP:
        return (done + 0.01) / (WARM_UP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _batch(units: NDArray[np.float32], rng: np.random.Generator) -> Tensor:
    """Units as they are, and units that were never heard: the teacher knows all."""
    chosen = units[rng.integers(len(units), size=BATCH)]
    others = units[rng.integers(len(units), size=BATCH)]
    bands, frames = units.shape[1:]
    for unit in others:
        unit[:] = np.roll(
            unit, (rng.integers(bands), rng.integers(frames)), axis=(0, 1)
        )
    part = np.where(rng.random(BATCH) < MIXED, rng.random(BATCH), 0)
    part = part.astype(np.float32)[:, None, None]
    return torch.from_numpy((1 - part) * chosen + part * others)[:, None]
