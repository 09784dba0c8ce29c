"""The networks as tables: one row a stage, as their papers print them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Operator = Literal[
    "centre",
    "time_mean",
    "conv",
    "depthwise",
    "bottleneck",
    "mean",
    "global",
    "dense",
    "linear",
]


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of a network."""

    operator: Operator
    """`centre`: take the unit's mean over time off, if the recipe asks for it;
    `time_mean`: average over the frames; `conv`, `depthwise`: with batch norm and
    activation; `bottleneck`: expansion, depthwise 3x3, linear projection; `mean`
    and `global` reduce the whole map to 1x1, by the average or by a learnt linear
    depthwise kernel, `dense` by a learnt kernel over all channels, with batch norm
    and activation; `linear`: 1x1 without activation"""
    channels: int | None = None
    """Channels out; None: the embedding size for `linear`, else as many as in"""
    expand: int = 1
    """Factor t of the bottleneck's inner channels"""
    repeat: int = 1
    """How often the stage is repeated (n); only the first has the stride"""
    stride: int | tuple[int, int] = 1
    """Step (s), the same in both directions or (frequency, time)"""
    kernel: int | tuple[int, int] = 3
    """Edges of a `conv`, odd: the same in both directions or (frequency, time)"""


@dataclass(frozen=True, slots=True)
class Table:
    """One network."""

    branches: Mapping[str, tuple[Row, ...]]
    """Rows of each path from the unit to its part of the embedding, by name; the
    parts have the same size and are laid side by side in this order"""
    bounded: bool
    """Whether `relu` means ReLU6, as MobileNetV2 has it"""
    normalise_last: bool
    """Whether batch norm follows the last layer (then it has no bias)"""


MOBILENETV2 = Table(
    # Morita et al. (SECOM), DCASE2021 Task 2, table 1. The paper prints the pool
    # as 16x1 on a map of 32x1; the kernel is always the whole map here.
    branches={
        "stages": (
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
        )
    },
    bounded=True,
    normalise_last=False,
)

MOBILEFACENET = Table(
    # Same paper, table 2: the third bottleneck stage has stride 2, where the
    # MobileFaceNet of Chen et al. 2018 has 1; GDConv 16x1 is again 32x1.
    branches={
        "stages": (
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
        )
    },
    bounded=False,
    normalise_last=True,
)

TWO_BRANCH = Table(
    # After the idea of Wilkinghoff, ICASSP 2023 ("Design choices for learning
    # embeddings from auxiliary tasks for domain generalization in anomalous sound
    # detection"): a spectrogram for what changes, a spectrum of the whole for what
    # stays. The layers are ours: bottlenecks where the paper has residual blocks
    # with squeeze-and-excitation, widths for 150 million products a unit of
    # 1024 x 128, no operator that int8 runtimes lack.
    branches={
        "spectrogram": (
            Row("centre"),
            Row("conv", 16, kernel=5, stride=2),
            Row("bottleneck", 24, stride=2),
            Row("bottleneck", 32, expand=4, repeat=2, stride=2),
            Row("bottleneck", 64, expand=4, repeat=3, stride=2),
            Row("bottleneck", 96, expand=4, repeat=2, stride=2),
            Row("conv", 256, kernel=1),
            Row("global"),
            Row("linear"),
        ),
        "spectrum": (
            Row("time_mean"),
            Row("conv", 64, kernel=(17, 1), stride=(4, 1)),
            Row("conv", 128, kernel=(9, 1), stride=(4, 1)),
            Row("conv", 128, kernel=(5, 1), stride=(2, 1)),
            Row("dense", 128),
            Row("linear"),
        ),
    },
    bounded=False,
    # Batch norm makes the parts equally loud: neither outweighs the other in a
    # cosine, and one range of int8 fits both.
    normalise_last=True,
)

TABLES = {
    "mobilenetv2": MOBILENETV2,
    "mobilefacenet": MOBILEFACENET,
    "two_branch": TWO_BRANCH,
}
"""Every network by the name that a recipe gives it"""
