"""The networks as tables: one row a stage, as their papers print them."""

from dataclasses import dataclass
from typing import Literal

Operator = Literal["conv", "depthwise", "bottleneck", "mean", "global", "linear"]


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of a network."""

    operator: Operator
    """`conv`, `depthwise`: with batch norm and activation; `bottleneck`:
    expansion, depthwise 3x3, linear projection; `mean` and `global` reduce the
    whole map to 1x1, by the average or by a learnt linear depthwise kernel;
    `linear`: 1x1 without activation"""
    channels: int | None = None
    """Channels out; None: the embedding size for `linear`, else as many as in"""
    expand: int = 1
    """Factor t of the bottleneck's inner channels"""
    repeat: int = 1
    """How often the stage is repeated (n); only the first has the stride"""
    stride: int = 1
    """Step in both directions (s)"""
    kernel: int = 3
    """Edge of a `conv`"""


@dataclass(frozen=True, slots=True)
class Table:
    """One network."""

    rows: tuple[Row, ...]
    bounded: bool
    """Whether `relu` means ReLU6, as MobileNetV2 has it"""
    normalise_last: bool
    """Whether batch norm follows the last layer (then it has no bias)"""


MOBILENETV2 = Table(
    # Morita et al. (SECOM), DCASE2021 Task 2, table 1. The paper prints the pool
    # as 16x1 on a map of 32x1; the kernel is always the whole map here.
    rows=(
        Row("conv", 32, stride=2),
        Row("bottleneck", 16),
        Row("bottleneck", 24, expand=6, repeat=2, stride=2),
        Row("bottleneck", 32, expand=6, repeat=3, stride=2),
        Row("bottleneck", 64, expand=6, repeat=4, stride=2),
        Row("bottleneck", 96, expand=6, repeat=3),
        Row("bottleneck", 160, expand=6, repeat=3, stride=2),
        Row("bottleneck", 320, expand=6),
        Row("conv", 1280, kernel=1),
        Row("mean"),
        Row("linear"),
    ),
    bounded=True,
    normalise_last=False,
)

MOBILEFACENET = Table(
    # Same paper, table 2: the third bottleneck stage has stride 2, where the
    # MobileFaceNet of Chen et al. 2018 has 1; GDConv 16x1 is again 32x1.
    rows=(
        Row("conv", 64, stride=2),
        Row("depthwise"),
        Row("bottleneck", 64, expand=2, repeat=5, stride=2),
        Row("bottleneck", 128, expand=4, stride=2),
        Row("bottleneck", 128, expand=2, repeat=6, stride=2),
        Row("bottleneck", 128, expand=4, stride=2),
        Row("bottleneck", 128, expand=2, repeat=2),
        Row("conv", 512, kernel=1),
        Row("global"),
        Row("linear"),
    ),
    bounded=False,
    normalise_last=True,
)

TABLES = {"mobilenetv2": MOBILENETV2, "mobilefacenet": MOBILEFACENET}
"""Every network by the name that a recipe gives it"""
