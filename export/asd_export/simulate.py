"""A network in torch that rounds as its int8 file does, one place at a time or all."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from tqdm import tqdm

from asd_agent.inference.embedder import RuntimeName
from asd_export.calibrate import Way
from asd_export.histogram import Histogram
from asd_export.prelu import without_prelu
from asd_train.models.layers import TimeMean

WEIGHT_STEPS: dict[RuntimeName, int] = {"onnx": 64, "tflite": 127}
"""Steps of a weight on each side of zero: seven bits in ONNX, eight in LiteRT"""
SMALLEST_SCALE = 1e-9
BATCH = 8
"""Units at a time"""
_ACTIVATIONS = (nn.ReLU, nn.ReLU6)


class Values(nn.Module):
    """What a layer gives out: 8 bits with a zero point, one range for the map."""

    def __init__(self) -> None:
        super().__init__()
        self.on = False
        self.histogram: Histogram | None = None
        """Counts while it calibrates"""
        self.scale, self.zero = 1.0, 0

    def set_range(self, low: float, high: float) -> None:
        """Let the codes span a range; it is widened to hold zero, as padding asks."""
        low, high = min(low, 0.0), max(high, 0.0)
        self.scale = max((high - low) / 255, SMALLEST_SCALE)
        self.zero = round(-low / self.scale)

    def forward(self, maps: Tensor) -> Tensor:
        """Round; the gradient passes straight through between the ends."""
        if self.histogram is not None:
            self.histogram.add(maps.detach().numpy())
        if not self.on:
            return maps
        quantise = torch.fake_quantize_per_tensor_affine
        rounded: Tensor = quantise(maps, self.scale, self.zero, 0, 255)
        return rounded


class Convolution(nn.Module):
    """A convolution whose weights are rounded by channel, around zero."""

    def __init__(self, conv: nn.Conv2d, steps: int) -> None:
        super().__init__()
        self.conv = conv
        self.steps = steps
        self.on = False

    def forward(self, maps: Tensor) -> Tensor:
        """Convolve with rounded weights; gradients pass straight through."""
        conv = self.conv
        if not self.on:
            out: Tensor = conv(maps)
            return out
        most = conv.weight.detach().abs().amax(dim=(1, 2, 3))
        weight = torch.fake_quantize_per_channel_affine(
            conv.weight,
            (most / self.steps).clamp_min(SMALLEST_SCALE),
            torch.zeros(len(most), dtype=torch.int32),
            0,
            -self.steps,
            self.steps,
        )
        # As `Conv2d.forward`, of other weights than its own.
        rounded: Tensor = conv._conv_forward(maps, weight, conv.bias)
        return rounded


@dataclass(frozen=True, slots=True)
class Place:
    """Where a network rounds."""

    first: fx.Node
    """Where it begins"""
    values: Values
    convolution: Convolution | None = None
    """None of the unit that goes in, of a sum, a mean or a join"""

    def round(self, on: bool) -> None:
        """Round here, or do not."""
        self.values.on = on
        if self.convolution is not None:
            self.convolution.on = on


class Simulation:
    """A copy of a network in which every value that int8 rounds can be rounded.

    Batch norm is folded and PReLU rewritten, as in the files. A place is a
    convolution with what it gives out (behind its activation, which runtimes merge
    with it), a sum, a mean or a join, or the unit that goes in.

    Parameters
    ----------
    network
        In eval mode; not changed.
    unit_shape
        ``(bands, unit_frames)``.
    runtime
        Whose weights to imitate.
    """

    def __init__(
        self, network: nn.Module, unit_shape: tuple[int, int], runtime: RuntimeName
    ) -> None:
        plain = without_prelu(network, unit_shape)
        for parent, name, mean in list(_children(plain, TimeMean)):
            setattr(parent, name, _as_convolution(mean))
        self.graph = fx.symbolic_trace(plain)
        _fold(self.graph)
        for module in self.graph.modules():
            if isinstance(module, _ACTIVATIONS):
                module.inplace = False  # what is kept must stay as it was
        self.places: dict[str, Place] = {}
        """By name, in the order in which the network runs"""
        self._insert(WEIGHT_STEPS[runtime])
        self.graph.recompile()
        self.graph.eval()

    def _insert(self, steps: int) -> None:
        modules = dict(self.graph.named_modules())
        for node in list(self.graph.graph.nodes):
            module = modules.get(str(node.target)) if node.op == "call_module" else None
            wrapped = None
            if isinstance(module, nn.Conv2d):
                wrapped = Convolution(module, steps)
                self.graph.set_submodule(str(node.target), wrapped)
            elif not _gives_values(node, module):
                continue
            values = Values()
            label = f"values_{node.name}"
            self.graph.add_submodule(label, values)
            last = _behind_activation(node, modules)
            with self.graph.graph.inserting_after(last):
                new = self.graph.graph.call_module(label)
            last.replace_all_uses_with(new)
            new.args = (last,)
            name = str(node.target) if module is not None else _name(node)
            if name in self.places:  # a block of two sums, or one that is not known
                name = f"{name}.{node.name}"
            self.places[name] = Place(node, values, wrapped)

    def round(self, names: Iterable[str]) -> None:
        """Round at these places alone."""
        wanted = set(names)
        for name, place in self.places.items():
            place.round(name in wanted)

    def calibrate(self, units: NDArray[np.float32], way: Way) -> None:
        """Set the range of every place by units ``(n, bands, frames)`` in float32."""
        on = [name for name, place in self.places.items() if place.values.on]
        self.round(())
        histograms = {}
        for name, place in self.places.items():
            place.values.histogram = histograms[name] = Histogram()
        starts = range(0, len(units), BATCH)
        with torch.no_grad():
            for start in tqdm(starts, "calibrating", leave=False, disable=None):
                self.graph(torch.from_numpy(units[start : start + BATCH, None]))
        for name, place in self.places.items():
            place.values.set_range(*way.range(histograms[name]))
            place.values.histogram = None
        self.round(on)

    def network(self) -> nn.Module:
        """Copy of the network as it is now, with nothing that rounds."""
        plain = copy.deepcopy(self.graph)
        for node in list(plain.graph.nodes):
            if node.op != "call_module":
                continue
            module = plain.get_submodule(str(node.target))
            if isinstance(module, Values):
                node.replace_all_uses_with(node.args[0])
                plain.graph.erase_node(node)
            elif isinstance(module, Convolution):
                plain.set_submodule(str(node.target), module.conv)
        plain.delete_all_unused_submodules()
        plain.recompile()
        return plain.eval()


def _children(
    network: nn.Module, kind: type[nn.Module]
) -> Iterable[tuple[nn.Module, str, nn.Module]]:
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, kind):
                yield parent, name, child


def _as_convolution(mean: nn.Module) -> nn.Conv2d:
    weight = mean.get_buffer("weight")
    conv = nn.Conv2d(1, 1, (weight.shape[2], weight.shape[3]), bias=False)
    conv.weight = nn.Parameter(weight.clone(), requires_grad=False)
    return conv


def _fold(graph: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution before it."""
    modules = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        before = node.args[0] if norm is not None and node.args else None
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(before, fx.Node):
            continue
        conv = modules.get(str(before.target))
        if isinstance(conv, nn.Conv2d) and len(before.users) == 1:
            folded = fuse_conv_bn_eval(conv, norm)
            graph.set_submodule(str(before.target), folded)
            modules[str(before.target)] = folded
            node.replace_all_uses_with(before)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()


def _name(node: fx.Node) -> str:
    """Name of a place that has no module: of the block that computes it."""
    if node.op == "placeholder":
        return "unit"
    stack = node.meta.get("nn_module_stack") or {"": ("", None)}
    block = str(list(stack.values())[-1][0])
    kind = "sum" if _function(node) == "add" else "join"
    return f"{block}.{kind}".lstrip(".")


def _function(node: fx.Node) -> str:
    """Name of the function that a node calls, which may be an operator."""
    called = node.target if node.op == "call_function" else None
    return str(getattr(called, "__name__", ""))


def _gives_values(node: fx.Node, module: nn.Module | None) -> bool:
    if node.op == "placeholder" or isinstance(module, nn.AvgPool2d):
        return True
    return _function(node) in ("add", "cat")


def _behind_activation(node: fx.Node, modules: dict[str, nn.Module]) -> fx.Node:
    """The activation that alone uses a node, or the node."""
    users = list(node.users)
    if len(users) != 1:
        return node
    user = users[0]
    if user.op == "call_module":
        found = isinstance(modules.get(str(user.target)), _ACTIVATIONS)
    else:
        found = user.op == "call_function" and user.target is torch.relu
    return user if found else node
