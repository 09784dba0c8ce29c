"""Builds a network from its table: one unit in, one embedding out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from asd_agent.errors import ConfigError
from asd_train.models.tables import TABLES, Row, Table

REDUCTION = 32
"""Factor by which both tables shrink a unit in frequency and in time"""


class NetworkSpec(BaseModel):
    """Which network, as a recipe and a run write it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["mobilenetv2", "mobilefacenet"]
    activation: Literal["relu", "prelu"] = "relu"
    """`relu` is ReLU6 in MobileNetV2. PReLU is what MobileFaceNet was published
    with, but int8 runtimes have no kernel for it, so ReLU is the default"""
    embedding: int = Field(128, ge=1, le=65_536)
    """Values in one embedding"""


class Bottleneck(nn.Module):
    """Inverted residual block (Sandler et al. 2018, table 1)."""

    def __init__(self, builder: "_Builder", channels: int, row: Row, stride: int):
        super().__init__()
        inside, before = builder.channels * row.expand, builder.channels
        layers = [] if row.expand == 1 else [builder.conv(inside, kernel=1)]
        layers.append(builder.conv(inside, stride=stride, groups=inside))
        layers.append(builder.conv(channels, kernel=1, active=False))
        self.body = nn.Sequential(*layers)
        self.residual = stride == 1 and before == channels

    def forward(self, maps: Tensor) -> Tensor:
        """Transform maps ``(B, C, F, T)``."""
        out: Tensor = self.body(maps)
        return maps + out if self.residual else out


class _Builder:
    """Appends layers, knowing the shape that the next one will see."""

    def __init__(self, spec: NetworkSpec, table: Table, shape: tuple[int, int]):
        self.spec, self.table = spec, table
        self.channels, self.shape = 1, shape

    def activation(self) -> nn.Module:
        if self.spec.activation == "prelu":
            return nn.PReLU(self.channels)
        return nn.ReLU6(inplace=True) if self.table.bounded else nn.ReLU(inplace=True)

    def conv(
        self,
        channels: int,
        kernel: int | tuple[int, int] = 3,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> nn.Sequential:
        """Convolution, batch norm and, if `active`, the activation."""
        whole = isinstance(kernel, tuple)
        conv = nn.Conv2d(
            self.channels,
            channels,
            kernel,
            stride,
            0 if whole or kernel == 1 else 1,
            groups=groups,
            bias=False,
        )
        self.channels = channels
        high, wide = self.shape
        self.shape = (1, 1) if whole else (-(-high // stride), -(-wide // stride))
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(channels)]
        if active:
            layers.append(self.activation())
        return nn.Sequential(*layers)

    def reduce(self, row: Row, unit_shape: tuple[int, int]) -> nn.Module:
        """Reduce the whole map to 1x1."""
        expected = (unit_shape[0] // REDUCTION, unit_shape[1] // REDUCTION)
        if self.shape != expected:
            raise AssertionError(f"map {self.shape} where {expected} was derived")
        if row.operator == "global":
            return self.conv(
                self.channels, self.shape, groups=self.channels, active=False
            )
        pool, self.shape = nn.AvgPool2d(self.shape), (1, 1)
        return pool

    def linear(self, channels: int) -> nn.Module:
        """Project to the embedding."""
        if self.table.normalise_last:
            return self.conv(channels, kernel=1, active=False)
        return nn.Conv2d(self.channels, channels, 1)

    def stage(self, row: Row, unit_shape: tuple[int, int]) -> nn.Module:
        """Build one row of the table."""
        channels = row.channels or self.channels
        if row.operator in ("mean", "global"):
            return self.reduce(row, unit_shape)
        if row.operator == "linear":
            return self.linear(row.channels or self.spec.embedding)
        if row.operator == "conv":
            return self.conv(channels, row.kernel, row.stride)
        if row.operator == "depthwise":
            return self.conv(channels, stride=row.stride, groups=self.channels)
        strides = (row.stride,) + (1,) * (row.repeat - 1)
        return nn.Sequential(*(Bottleneck(self, channels, row, s) for s in strides))


class Network(nn.Module):
    """A network whose `stages` are the rows of its table."""

    def __init__(self, spec: NetworkSpec, unit_shape: tuple[int, int]):
        super().__init__()
        table = TABLES[spec.name]
        builder = _Builder(spec, table, unit_shape)
        self.stages = nn.Sequential(
            *(builder.stage(row, unit_shape) for row in table.rows)
        )

    def forward(self, units: Tensor) -> Tensor:
        """Embed units ``(B, 1, bands, frames)`` as ``(B, embedding)``."""
        out: Tensor = self.stages(units)
        return out.flatten(1)


def build_network(
    spec: NetworkSpec, unit_shape: tuple[int, int] = (1024, 32)
) -> nn.Module:
    """Build a network with fresh weights from torch's random generator.

    Parameters
    ----------
    spec : NetworkSpec
    unit_shape : tuple of int
        Bands and frames of one unit.

    Returns
    -------
    nn.Module
        Maps ``(B, 1, bands, frames)`` float32 to ``(B, embedding)``, not
        normalised.

    Raises
    ------
    ConfigError
        A side of the unit is not a multiple of 32.
    """
    if any(side < REDUCTION or side % REDUCTION for side in unit_shape):
        raise ConfigError(
            f"unit of {unit_shape[0]} bands x {unit_shape[1]} frames: both must be "
            f"multiples of {REDUCTION}, by which {spec.name} shrinks a unit"
        )
    return Network(spec, unit_shape)
