"""What hears a clip: a run's network or a bundle's files, and plain statistics."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import asd_agent
from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.member import Member, band_groups
from asd_agent.features import FeatureSpec
from asd_agent.inference.embedder import Embedder, EmbedderSpec, ModelFile
from asd_agent.scoring.detector import KnnSpec
from asd_agent.scoring.explain import GROUPS as PLAIN_GROUPS
from asd_agent.scoring.pooling import PoolingSpec
from asd_train.acceleration import blocked_layout, place
from asd_train.environment import keep_freed_memory, pick_device
from asd_train.models import build_network
from asd_train.run import Run
from asd_train.scoring_spec import Groups

Array = NDArray[np.float32]

UNITS_AT_ONCE = 16
"""Units in one pass of the network"""
STATISTICS = "statistics"
"""Name of the member that has no network"""
GROUPS: tuple[int, ...] = get_args(Groups)
"""Groups of bands that clips are heard in without a network"""


class TorchEmbedder:
    """A run's own network, with the interface of the device's runtimes."""

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        # Runtime and precision are of a file that a device would load; there is none.
        self.model = ModelFile(
            file="model.safetensors", runtime="onnx", precision="float32"
        )
        self.library = f"torch {torch.__version__}"
        self._device = device
        self._network = network.eval()
        place(self._network, device)
        keep_freed_memory()

    def embed(self, unit: Array) -> Array:
        """Embed one unit ``(bands, unit_frames)`` as ``(size,)``."""
        vector: Array = self.embed_all(unit[None])[0]
        return vector

    @torch.inference_mode()
    def embed_all(self, units: Array) -> Array:
        """Embed units ``(n, bands, unit_frames)`` as ``(n, size)``."""
        chunks = torch.split(torch.from_numpy(units), UNITS_AT_ONCE)
        with blocked_layout(self._network, self._device):
            parts = [
                self._network(chunk.unsqueeze(1).to(self._device)).float().cpu()
                for chunk in chunks
            ]
        found: Array = torch.cat(parts).numpy()
        return found


@dataclass(frozen=True, slots=True)
class Ear:
    """Members that hear a clip; how they pool and score does not matter here."""

    members: tuple[Member, ...]
    """Those that were given first, then one without a network for each of `GROUPS`"""
    sha256: str
    """Of everything that decides the vectors"""
    network: TorchEmbedder | None = None
    """Embeds the units of the first member in batches; None: each by itself"""

    @classmethod
    def of(
        cls, members: Sequence[Member], network: TorchEmbedder | None = None
    ) -> "Ear":
        """Hear with these, and with statistics of the first one's front end."""
        features = members[0].spec.features
        everyone = (*members, *(plain_member(features, n) for n in GROUPS))
        digest = hashlib.sha256(asd_agent.__version__.encode())
        for member in everyone:
            digest.update(member.library.encode())
            digest.update(member.model_sha256.encode())
            digest.update(member.spec.features.model_dump_json().encode())
            digest.update(str(member.size).encode())
        return cls(everyone, digest.hexdigest(), network)

    @classmethod
    def of_run(cls, run: Run, device: str, random_weights: int | None = None) -> "Ear":
        """Hear with the network of a run.

        Parameters
        ----------
        run : Run
        device : str
            ``cpu``, ``cuda`` or ``auto``.
        random_weights : int, optional
            Seed of fresh weights instead of the run's, see `fresh_network`.
        """
        network = run.network() if random_weights is None else None
        network = network or fresh_network(run, random_weights or 0)
        embedder = TorchEmbedder(network, pick_device(device))
        features = run.info.features
        spec = EmbedderSpec(size=run.info.network.embedding, models=(embedder.model,))
        member = bare_member("network", features, spec)
        sha256 = weights_sha256(network)
        heard = replace(member, embedder=embedder, model_sha256=sha256)
        return cls.of([heard], embedder)


def bare_member(
    name: str,
    features: FeatureSpec,
    embedder: EmbedderSpec | None,
    groups: int = PLAIN_GROUPS,
) -> Member:
    """A member with nothing in it yet but its front end."""
    spec = MemberSpec(
        name=name,
        features=features,
        embedder=embedder,
        groups=groups,
        pooling=PoolingSpec(),
        detector=KnnSpec(),
    )
    own = None if embedder else band_groups(features, groups)
    return Member(spec, None, band_groups(features), "", statistics=own)


def plain_member(features: FeatureSpec, groups: int = PLAIN_GROUPS) -> Member:
    """A member that has no network."""
    return bare_member(STATISTICS, features, None, groups)


def fresh_network(run: Run, seed: int) -> nn.Module:
    """The run's architecture with random weights, fit to be compared with training.

    Statistics of its batch norms come from one pass over the run's calibration
    units; with those of a fresh network, 0 and 1, the vectors of all sounds would
    be nearly one. Everything else is as torch draws it.
    """
    torch.manual_seed(seed)
    network = build_network(run.info.network, run.info.features.unit_shape)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
    units = torch.from_numpy(run.calibration()[0]).unsqueeze(1)
    with torch.no_grad():
        for chunk in torch.split(units, UNITS_AT_ONCE):
            if len(chunk) > 1:
                network(chunk)
    return network.eval()


def weights_sha256(network: nn.Module) -> str:
    """Hash of all weights and buffers, with their names."""
    digest = hashlib.sha256()
    state: dict[str, Any] = network.state_dict()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(state[name].cpu().numpy()).tobytes())
    return digest.hexdigest()


class Later:
    """Keeps units instead of embedding them, so that many are embedded at once."""

    def __init__(self, embedder: Embedder, size: int) -> None:
        self.model, self.library = embedder.model, embedder.library
        self.units: list[Array] = []
        self._nothing = np.zeros(size, np.float32)

    def embed(self, unit: Array) -> Array:
        """Keep one unit; the vector is to be replaced."""
        self.units.append(unit.copy())
        return self._nothing
