"""What makes a network's steps faster without changing what it learns."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from asd_agent.errors import ConfigError
from asd_train.distributed import World
from asd_train.losses import Head
from asd_train.models.layers import Bottleneck
from asd_train.recipe import TrainingSpec

_BLOCKED = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.PReLU, nn.AvgPool2d)
"""Layers that oneDNN trains in its own layout. Not ReLU6, for which it is slower"""


class Task(nn.Module):
    """Network, head and loss: all that has gradients, in one call.

    Parameters
    ----------
    network, head : Module
    mixed : bool
        Compute the network in bfloat16 where that is safe; its weights and the
        loss stay float32.
    """

    def __init__(self, network: nn.Module, head: Head, mixed: bool) -> None:
        super().__init__()
        self.network, self.head, self.mixed = network, head, mixed

    def forward(
        self, units: Tensor, labels: Tensor, others: Tensor, shares: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean loss of a batch, and the part of it that is put into its class."""
        with torch.autocast(units.device.type, torch.bfloat16, enabled=self.mixed):
            embeddings = self.network(units)
        scores: Tensor = self.head(embeddings.float())
        losses = self.head.mixed_loss(scores, labels, others, shares)
        right = (scores.detach().argmax(1) == labels).float().mean()
        return losses.mean(), right


def make_task(
    network: nn.Module,
    head: Head,
    spec: TrainingSpec,
    device: torch.device,
    world: World,
) -> nn.Module:
    """Join network and head as the recipe wants it computed.

    A CPU always computes in float32: bfloat16 is hardly faster there with these
    thin convolutions, and several times slower without its own instructions.

    Raises
    ------
    ConfigError
        The recipe says `compile` and there is no compiler.
    """
    half = spec.precision == "bfloat16" and device.type == "cuda"
    task = world.spread(Task(network, head, half), device)
    if not spec.compile:
        return task
    if device.type == "cpu" and not shutil.which(os.environ.get("CXX", "g++")):
        raise ConfigError(
            "training.compile is true, and no C++ compiler is found: install g++, or "
            "set it to false, which on a CPU costs nothing"
        )
    compiled: nn.Module = torch.compile(task)  # type: ignore[assignment]  # typed as a function
    return compiled


def make_optimizer(
    network: nn.Module, head: nn.Module, spec: TrainingSpec, device: torch.device
) -> AdamW:
    """AdamW over all weights; one kernel a step on a GPU."""
    return AdamW(
        [*network.parameters(), *head.parameters()],
        lr=spec.learning_rate,
        weight_decay=spec.weight_decay,
        fused=device.type == "cuda",
    )


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network to its device, its weights in the order that is fastest.

    Channels last is for these thin convolutions, except in `blocked_layout`.
    """
    blocked = any(True for _ in _blocked_branches(network, device))
    layout = torch.contiguous_format if blocked else torch.channels_last
    network.to(device, memory_format=layout)  # type: ignore[call-overload]  # stubs lack the keyword


@contextmanager
def blocked_layout(
    network: nn.Module, device: torch.device, compiled: bool = False
) -> Iterator[None]:
    """Let a CPU train in oneDNN's own layout, while in this context.

    Batch norm and PReLU, which are bound by memory, take half the time of torch's
    own. Only what flows between the layers changes: the weights stay as they are.
    Nothing changes for a compiled network: torch cannot compile this layout.
    """
    handles = []
    for stages in () if compiled else _blocked_branches(network, device):
        handles.append(stages[0].register_forward_pre_hook(_enter))
        handles.append(stages[-1].register_forward_hook(_leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _blocked_branches(
    network: nn.Module, device: torch.device
) -> Iterator[list[nn.Module]]:
    """For each branch the stages from the first convolution on, if all can."""
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # stubs lack it
        return
    for branch in network.children():
        stages = list(branch.children())
        while stages and not _has_convolution(stages[0]):
            stages.pop(0)
        if stages and all(map(_trains_blocked, stages)):
            yield stages


def _has_convolution(stage: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d) for m in stage.modules())


def _trains_blocked(stage: nn.Module) -> bool:
    inner = (nn.Sequential, Bottleneck)
    return all(isinstance(m, (*_BLOCKED, *inner)) for m in stage.modules())


def _enter(_stage: nn.Module, arguments: tuple[Tensor]) -> tuple[Tensor]:
    return (arguments[0].to_mkldnn(),)


def _leave(_stage: nn.Module, _arguments: object, maps: Tensor) -> Tensor:
    return maps.to_dense()
