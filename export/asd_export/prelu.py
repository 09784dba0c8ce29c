"""Rewrite PReLU exactly into layers that stay fast in int8."""

import copy

import torch
from torch import Tensor, nn


class PairedPReLU(nn.Module):
    """PReLU as convolutions and ReLU, the same function of every input.

    With the slope a of a channel, ``PReLU(x) = s * relu(|1 - a| * x) + a * x``
    where s is the sign of ``1 - a``. Each factor is a depthwise 1x1
    convolution, which both runtimes compute in int8; neither has an int8 PReLU.
    The convolution must come before the ReLU: runtimes merge the two, whereas a
    ReLU that stands alone falls back, one fall-back a layer.

    Parameters
    ----------
    prelu
        Trained activation; a single slope needs `channels`.
    channels
        Channels of the maps that it is applied to.
    """

    def __init__(self, prelu: nn.PReLU, channels: int) -> None:
        super().__init__()
        slope = prelu.weight.detach().expand(channels)
        self.rise = _scale((1 - slope).abs())
        self.line = _scale(slope)
        turned = bool((slope > 1).any())
        self.turn = _scale(torch.sign(1 - slope)) if turned else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """Apply to maps ``(B, channels, F, T)``."""
        bent: Tensor = self.turn(torch.relu(self.rise(maps)))
        line: Tensor = self.line(maps)
        return bent + line


def _scale(factors: Tensor) -> nn.Conv2d:
    channels = len(factors)
    conv = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    conv.weight.data.copy_(factors[:, None, None, None])
    return conv


def without_prelu(network: nn.Module, unit_shape: tuple[int, int]) -> nn.Module:
    """Copy a network with every PReLU rewritten; others are only copied.

    Parameters
    ----------
    network
        Takes ``(1, 1, bands, unit_frames)``; not changed.
    unit_shape
        ``(bands, unit_frames)``.
    """
    rewritten = copy.deepcopy(network).eval()
    channels = _channels(rewritten, unit_shape)
    for name, module in list(rewritten.named_modules()):
        if isinstance(module, nn.PReLU):
            parent, _, child = name.rpartition(".")
            paired = PairedPReLU(module, channels[name])
            setattr(rewritten.get_submodule(parent), child, paired)
    return rewritten.eval()


def _channels(network: nn.Module, unit_shape: tuple[int, int]) -> dict[str, int]:
    """Channels that each PReLU sees: one with a single slope does not say."""
    seen: dict[str, int] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.PReLU):

            def note(_: nn.Module, inputs: tuple[Tensor], name: str = name) -> None:
                seen[name] = inputs[0].shape[1]

            hooks.append(module.register_forward_pre_hook(note))
    with torch.no_grad():
        network(torch.zeros(1, 1, *unit_shape))
    for hook in hooks:
        hook.remove()
    return seen
