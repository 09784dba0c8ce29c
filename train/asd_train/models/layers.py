"""The layers that the rows of a table stand for."""

import torch
from torch import Tensor, nn
from torch.nn import functional

Pair = int | tuple[int, int]


class Builder:
    """Appends layers, knowing the map that the next one will see."""

    def __init__(self, prelu: bool, bounded: bool, shape: tuple[int, int]):
        self.prelu, self.bounded = prelu, bounded
        self.channels, self.shape = 1, shape

    def activation(self) -> nn.Module:
        """Make the activation of the last layer's channels."""
        if self.prelu:
            return nn.PReLU(self.channels)
        return nn.ReLU6(inplace=True) if self.bounded else nn.ReLU(inplace=True)

    def conv(
        self,
        channels: int,
        kernel: Pair = 3,
        stride: Pair = 1,
        groups: int = 1,
        *,
        whole: bool = False,
        active: bool = True,
    ) -> nn.Sequential:
        """Convolution, batch norm and, if `active`, the activation.

        Parameters
        ----------
        channels : int
            Channels out.
        kernel, stride : int or tuple of int
            The same in both directions, or (frequency, time); the map is padded
            so that only `stride` shrinks it.
        groups : int
            As many as channels in: depthwise.
        whole : bool
            Take the whole map as the kernel, and leave 1x1 of it.
        active : bool
        """
        high, wide = _pair(self.shape if whole else kernel)
        step = _pair(stride)
        conv = nn.Conv2d(
            self.channels,
            channels,
            (high, wide),
            step,
            0 if whole else (high // 2, wide // 2),
            groups=groups,
            bias=False,
        )
        self.channels = channels
        bands, frames = self.shape
        self.shape = (1, 1) if whole else (-(-bands // step[0]), -(-frames // step[1]))
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(channels)]
        if active:
            layers.append(self.activation())
        return nn.Sequential(*layers)


def _pair(edges: Pair) -> tuple[int, int]:
    return edges if isinstance(edges, tuple) else (edges, edges)


class Bottleneck(nn.Module):
    """Inverted residual block (Sandler et al. 2018, table 1)."""

    def __init__(self, builder: Builder, channels: int, expand: int, stride: Pair):
        super().__init__()
        inside, before = builder.channels * expand, builder.channels
        layers = [] if expand == 1 else [builder.conv(inside, kernel=1)]
        layers.append(builder.conv(inside, stride=stride, groups=inside))
        layers.append(builder.conv(channels, kernel=1, active=False))
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and before == channels

    def forward(self, maps: Tensor) -> Tensor:
        """Transform maps ``(B, C, F, T)``."""
        out: Tensor = self.body(maps)
        return maps + out if self.residual else out


class TimeMean(nn.Module):
    """Mean over the frames, ``(B, 1, F, T)`` to ``(B, 1, F, 1)``.

    A convolution with fixed weights: in int8 its output has a range of its own,
    where average pooling keeps the range of the spectrogram, whose steps are
    coarse for a mean; and LiteRT has no fast int8 pooling.
    """

    weight: Tensor

    def __init__(self, frames: int, factor: float = 1.0):
        super().__init__()
        weight = torch.full((1, 1, 1, frames), factor / frames)
        # Not a parameter, and not in the file of weights: the shape says it all.
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, units: Tensor) -> Tensor:
        """Average units ``(B, 1, F, T)``."""
        return functional.conv2d(units, self.weight)


class Centre(nn.Module):
    """Take the mean over the frames off, ``(B, 1, F, T)`` to the same shape."""

    def __init__(self, frames: int):
        super().__init__()
        # Runtimes add in int8, but leave a subtraction in float32.
        self.minus_mean = TimeMean(frames, -1.0)

    def forward(self, units: Tensor) -> Tensor:
        """Centre units ``(B, 1, F, T)``."""
        mean: Tensor = self.minus_mean(units)
        return units + mean
