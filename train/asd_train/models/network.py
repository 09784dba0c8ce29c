"""Builds a network from its table: one unit in, one embedding out."""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from asd_agent.errors import ConfigError
from asd_train.models.layers import Bottleneck, Builder, Centre, TimeMean
from asd_train.models.tables import TABLES, Row

REDUCTION = 32
"""Factor by which all tables shrink a unit in frequency and in time"""


class NetworkSpec(BaseModel):
    """Which network, as a recipe and a run write it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["mobilenetv2", "mobilefacenet", "two_branch"]
    activation: Literal["relu", "prelu"] = "relu"
    """`relu` is ReLU6 in MobileNetV2. PReLU is what MobileFaceNet was published
    with, but int8 runtimes have no kernel for it, so ReLU is the default"""
    embedding: int = Field(128, ge=1, le=65_536)
    """Values in one embedding; of `two_branch` each branch gives half"""
    centred: bool = False
    """`two_branch` alone: the spectrogram branch gets the unit without its mean
    over time, which the spectrum branch keeps"""

    @model_validator(mode="after")
    def _fits_the_table(self) -> "NetworkSpec":
        branches = TABLES[self.name].branches
        if self.embedding % len(branches):
            raise ValueError(
                f"embedding {self.embedding} does not split evenly over the "
                f"{len(branches)} branches of {self.name}"
            )
        rows = (row.operator for rows in branches.values() for row in rows)
        if self.centred and "centre" not in rows:
            raise ValueError(f"{self.name} cannot be centred: two_branch alone can")
        return self


class _Stages:
    """Makes the stages of one branch, each knowing the map that it will see."""

    def __init__(self, spec: NetworkSpec, unit_shape: tuple[int, int]):
        self.spec, self.table = spec, TABLES[spec.name]
        bounded = self.table.bounded
        self.builder = Builder(spec.activation == "prelu", bounded, unit_shape)
        self.last = (unit_shape[0] // REDUCTION, unit_shape[1] // REDUCTION)
        """Map that is left to be reduced to 1x1"""

    def stage(self, row: Row) -> nn.Module:
        """Build one row of the table."""
        build, channels = self.builder, row.channels or self.builder.channels
        if row.operator in ("centre", "time_mean"):
            return self._over_time(row)
        if row.operator in ("mean", "global", "dense"):
            return self._reduce(row, channels)
        if row.operator == "linear":
            return self._linear(
                row.channels or self.spec.embedding // len(self.table.branches)
            )
        if row.operator == "conv":
            return build.conv(channels, row.kernel, row.stride)
        if row.operator == "depthwise":
            return build.conv(channels, stride=row.stride, groups=build.channels)
        strides = (row.stride,) + (1,) * (row.repeat - 1)
        return nn.Sequential(
            *(Bottleneck(build, channels, row.expand, stride) for stride in strides)
        )

    def _over_time(self, row: Row) -> nn.Module:
        high, wide = self.builder.shape
        if row.operator == "centre":
            return Centre(wide) if self.spec.centred else nn.Identity()
        self.builder.shape, self.last = (high, 1), (self.last[0], 1)
        return TimeMean(wide)

    def _reduce(self, row: Row, channels: int) -> nn.Module:
        build = self.builder
        if build.shape != self.last:
            raise AssertionError(f"map {build.shape} where {self.last} was derived")
        if row.operator == "global":
            groups = build.channels
            return build.conv(groups, whole=True, groups=groups, active=False)
        if row.operator == "dense":
            return build.conv(channels, whole=True)
        pool, build.shape = nn.AvgPool2d(build.shape), (1, 1)
        return pool

    def _linear(self, channels: int) -> nn.Module:
        if self.table.normalise_last:
            return self.builder.conv(channels, kernel=1, active=False)
        return nn.Conv2d(self.builder.channels, channels, 1)


class Network(nn.Module):
    """A network whose branches have the rows of its table as stages."""

    def __init__(self, spec: NetworkSpec, unit_shape: tuple[int, int]):
        super().__init__()
        self.branches = tuple(TABLES[spec.name].branches)
        """Names of the branches, which are submodules of these names"""
        for name, rows in TABLES[spec.name].branches.items():
            stages = _Stages(spec, unit_shape)
            self.add_module(name, nn.Sequential(*map(stages.stage, rows)))

    def forward(self, units: Tensor) -> Tensor:
        """Embed units ``(B, 1, bands, frames)`` as ``(B, embedding)``."""
        parts = [self.get_submodule(name)(units) for name in self.branches]
        out: Tensor = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
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
