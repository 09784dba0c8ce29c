"""Make channels equally loud, so that one range of int8 fits them all."""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn

from asd_export.simulate import BATCH, Convolution, Simulation, Values

MOST = 1e3
"""Largest factor of a channel, and smallest of its inverse: beyond it is silent"""
_SAME_SCALE = (nn.ReLU, nn.AvgPool2d, nn.Identity, Values)
"""Modules that give a channel out as loud as it came in, whatever its factor"""


@dataclass(slots=True)
class _Stream:
    """Values that must have the same factor in each channel."""

    free: bool = True
    """Whether their factors may be chosen"""
    sources: list[nn.Conv2d] = field(default_factory=list)
    sinks: list[nn.Conv2d] = field(default_factory=list)
    loudest: list[Tensor] = field(default_factory=list)
    """Largest magnitude of each channel at each place"""


def equalised(network: nn.Module, units: NDArray[np.float32]) -> nn.Module:
    """Copy a network with equally loud channels, batch norm folded, PReLU rewritten.

    Parameters
    ----------
    network
        In eval mode; not changed.
    units : array, shape ``(n, bands, unit_frames)``
        Normalised features.
    """
    # Weights are the same for every runtime.
    simulation = Simulation(network, (units.shape[1], units.shape[2]), "onnx")
    equalise(simulation, units)
    return simulation.network()


def equalise(simulation: Simulation, units: NDArray[np.float32]) -> None:
    """Multiply channels by factors that the layers behind them take back.

    The network computes the same function: ReLU lets a factor through, sums have it
    on both sides. A factor is the root of how loud a channel is over how much the
    weights behind it make of it, so that the steps of values and of weights become
    finer alike. Methods: Nagel et al. 2019, "Data-free quantization through weight
    equalization and bias correction"; Xiao et al. 2023, "SmoothQuant".

    Parameters
    ----------
    simulation
        Changed in place; set its ranges anew.
    units : array, shape ``(n, bands, unit_frames)``
        Normalised features.
    """
    for stream in _streams(simulation, _loudness(simulation, units)):
        if not stream.free or not stream.sources or not stream.sinks:
            continue
        loud = torch.stack(stream.loudest).amax(0)
        factor = (loud / _weight(stream.sinks)).sqrt()
        if all(_depthwise(conv) for conv in stream.sinks):
            factor = loud.clone()  # their weights have a range for each channel
        factor = factor / factor.amax().clamp_min(1e-30)
        factor = torch.where(loud > 0, factor.clamp(1 / MOST, 1), 1.0)
        for conv in stream.sources:
            conv.weight.data /= factor[:, None, None, None]
            if conv.bias is not None:
                conv.bias.data /= factor
        for conv in stream.sinks:
            shape = (-1, 1, 1, 1) if _depthwise(conv) else (1, -1, 1, 1)
            conv.weight.data *= factor.reshape(shape)


def _depthwise(conv: nn.Conv2d) -> bool:
    return conv.groups > 1


def _weight(sinks: list[nn.Conv2d]) -> Tensor:
    """How much of the range of its row each channel's weights take, at most 1."""
    shares = []
    for conv in sinks:
        if not _depthwise(conv):
            size = conv.weight.detach().abs().amax(dim=(2, 3))
            shares.append((size / size.amax(1, keepdim=True).clamp_min(1e-30)).amax(0))
    if not shares:
        return torch.ones(())
    return torch.stack(shares).amax(0).clamp_min(1 / MOST)


def _loudness(
    simulation: Simulation, units: NDArray[np.float32]
) -> dict[nn.Module, Tensor]:
    """Largest magnitude of each channel at every place."""
    found: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, _: object, maps: Tensor) -> None:
        loud = maps.abs().amax(dim=tuple(d for d in range(maps.dim()) if d != 1))
        found[module] = torch.maximum(found.get(module, loud), loud)

    simulation.round(())
    hooks = [
        place.values.register_forward_hook(note) for place in simulation.places.values()
    ]
    with torch.no_grad():
        for batch in torch.split(torch.from_numpy(units[:, None]), BATCH):
            simulation.graph(batch)
    for hook in hooks:
        hook.remove()
    return found


def _streams(
    simulation: Simulation, loudness: dict[nn.Module, Tensor]
) -> list[_Stream]:
    graph = simulation.graph
    modules = dict(graph.named_modules())
    owner: dict[fx.Node, fx.Node] = {}

    def root(node: fx.Node) -> fx.Node:
        while owner.setdefault(node, node) is not node:
            node = owner[node]
        return node

    fixed = []
    for node in graph.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, Convolution):
            if module.conv.groups not in (1, module.conv.in_channels):
                fixed += [node, *node.all_input_nodes]
            continue
        called = str(getattr(node.target, "__name__", ""))
        for before in node.all_input_nodes:
            owner[root(before)] = root(node)
        joins = node.op == "call_function" and called in ("add", "relu")
        if not joins and not isinstance(module, _SAME_SCALE):
            fixed.append(node)
    streams: dict[fx.Node, _Stream] = defaultdict(_Stream)
    for node in fixed:
        streams[root(node)].free = False
    for node in graph.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, Convolution):
            streams[root(node)].sources.append(module.conv)
            streams[root(node.all_input_nodes[0])].sinks.append(module.conv)
        elif isinstance(module, Values):
            streams[root(node)].loudest.append(loudness[module])
    return list(streams.values())
