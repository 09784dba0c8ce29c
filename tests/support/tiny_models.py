"""A network small enough to convert in a test, and its four model files."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asd_agent.features import SecomSpec
from asd_agent.inference.embedder import EmbedderSpec
from asd_export.convert import convert
from asd_export.files import FILES
from asd_export.parity import HeldOut
from asd_export.source import Source

# Networks this small lose more by waiting for threads than they gain.
torch.set_num_threads(1)

SPEC = SecomSpec(window=64, hop=16, unit_frames=8, unit_shift=4)
"""A front end with small units"""
SHAPE = SPEC.unit_shape
SIZE = 16
EMBEDDER = EmbedderSpec(size=SIZE, models=tuple(FILES.values()))


class TinyNet(nn.Module):
    """Strided, depthwise, pointwise, residual and global: what the real ones have."""

    def __init__(self, activation: Callable[[], nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), activation()
        )
        self.body = nn.Sequential(
            nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False),
            nn.BatchNorm2d(8),
            activation(),
            nn.Conv2d(8, 8, 1, bias=False),
            nn.BatchNorm2d(8),
        )
        self.head = nn.Sequential(
            nn.Conv2d(8, 8, (SHAPE[0] // 2, SHAPE[1] // 2), groups=8, bias=False),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, SIZE, 1),
        )

    def forward(self, units: Tensor) -> Tensor:
        maps = self.stem(units)
        maps = maps + self.body(maps)
        out: Tensor = self.head(maps)
        return out.flatten(1)


def settle(network: nn.Module, shape: tuple[int, int], steps: int = 20) -> nn.Module:
    """Give batch norm real statistics, as training would."""
    network.train()
    with torch.no_grad():
        for _ in range(steps):
            network(torch.randn(8, 1, *shape))
    return network.eval()


def tiny_network(activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    """Make the network, the same each time."""
    torch.manual_seed(0)
    return settle(TinyNet(activation), SHAPE)


def outliers(factor: float) -> nn.Module:
    """Make the network with two channels far louder than the others."""
    network = tiny_network()
    with torch.no_grad():
        for name, scale in (
            ("stem.1.weight", factor),
            ("stem.1.bias", factor),
            ("body.0.weight", 1 / factor),
            ("head.0.weight", 1 / factor),
        ):
            network.get_parameter(name)[:2] *= scale
    return network.eval()


def lifted(offset: float) -> nn.Module:
    """Make the network with a constant on all values that the head takes off again.

    No channel is louder than the others; only other weights need no such range.
    """
    network = tiny_network()
    head = network.get_parameter("head.0.weight")
    with torch.no_grad():
        network.get_parameter("body.4.bias").add_(offset)
        taken = offset * head.sum(dim=(1, 2, 3))
        network.get_buffer("head.1.running_mean").add_(taken)
    return network.eval()


def random_units(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Make units ``(n, *SHAPE)``."""
    return np.random.default_rng(seed).standard_normal((n, *SHAPE), np.float32)


@cache
def tiny_files() -> dict[str, bytes]:
    """Convert `tiny_network` to every kind of file, once for all tests."""
    units = random_units(20, seed=1)
    return convert(tiny_network(), SHAPE, units, tuple(FILES), lambda _: None)


def toned(units: NDArray[np.float32], band: int, highest: float) -> NDArray[np.float32]:
    """Add a tone of four bands that grows louder from unit to unit."""
    levels = np.linspace(0.1, highest, len(units), dtype=np.float32)
    tone = np.zeros(SHAPE, np.float32)
    tone[band : band + 4] = 1
    return units + levels[:, None, None] * tone


def tiny_source() -> Source:
    """Make a run of the tiny network: 12 clips of 5 units, the tone ever louder.

    The calibration sound has another tone, so that the louder clips score higher.
    """
    held_out = toned(0.3 * random_units(60, seed=2), 8, 3)
    rng = np.random.default_rng(3)
    samples = SPEC.unit_samples + 2 * SPEC.shift_samples
    audio = rng.normal(0, 3000, (5, samples)) * np.logspace(0, -0.3, 5)[:, None]
    return Source(
        name="tinynet",
        network=tiny_network(),
        features=SPEC.model_copy(
            update={"mean_db": (-30.0,) * SHAPE[0], "std_db": (6.0,) * SHAPE[0]}
        ),
        calibration=toned(0.3 * random_units(36, seed=4), 20, 3),
        held_out=HeldOut(held_out, np.repeat(np.arange(12), 5)),
        golden_audio=audio.astype(np.int16),
        labels=("fan", "valve"),
        training={"seed": 1, "steps": 20},
        licence="Apache-2.0",
    )
