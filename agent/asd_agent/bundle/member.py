"""A member of a bundle, opened: its front end, its network, its golden numbers."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import GoldenSpec, MemberSpec
from asd_agent.errors import BundleError
from asd_agent.features.spec import FeatureSpec
from asd_agent.features.stream import band_edges_hz, units
from asd_agent.inference.embedder import Embedder
from asd_agent.inference.open import RuntimeChoice, open_embedder
from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.combine import Combine
from asd_agent.scoring.explain import GROUPS, BandGroups
from asd_agent.scoring.pooling import pooled_size

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Member:
    """One way to score, ready to run."""

    spec: MemberSpec
    embedder: Embedder | None
    groups: BandGroups
    model_sha256: str
    """Hash of the model file that runs; empty without a network"""
    combine: Combine = "min_p"
    """How it and the other members of its bundle become one score"""
    statistics: BandGroups | None = None
    """What stands for a network where there is none; None: `groups`"""

    @property
    def size(self) -> int:
        """Values in the vector of one unit."""
        if self.spec.embedder is None:
            return 2 * len(self.statistics or self.groups)
        return self.spec.embedder.size

    @property
    def pooled_size(self) -> int:
        """Values in the vector of a window."""
        return pooled_size(self.spec.pooling, self.size)

    @property
    def library(self) -> str:
        """Library that runs the network, such as ``onnxruntime 1.31.1``."""
        return self.embedder.library if self.embedder else "numpy"

    def embed(self, values: Array) -> Array:
        """Vector of one unit, shape ``(size,)``; without a network its statistics."""
        if self.embedder is None:
            return (self.statistics or self.groups).statistics(values)
        return self.embedder.embed(values)


def band_groups(features: FeatureSpec, groups: int = GROUPS) -> BandGroups:
    """Gather the bands of a front end into so many groups at most."""
    edges_hz = band_edges_hz(features)
    return BandGroups(edges_hz, features.mean_db, features.std_db, groups)


def open_members(bundle: Bundle, runtime: RuntimeChoice = "auto") -> list[Member]:
    """Open every member of a bundle and check its golden numbers on this device.

    Raises
    ------
    BundleError
        A model cannot be loaded, or this device computes other numbers.
    RuntimeMissing
        No model of the bundle has its runtime installed.
    """
    members = []
    for spec in bundle.manifest.members:
        embedder = None
        sha256 = ""
        if spec.embedder is not None:
            embedder = open_embedder(
                spec.embedder,
                bundle.read,
                runtime,
                unit_shape=spec.features.unit_shape,
            )
            sha256 = bundle.manifest.files[embedder.model.file].sha256
        groups = band_groups(spec.features)
        plain = spec.embedder is None
        own = band_groups(spec.features, spec.groups) if plain else None
        combine = bundle.manifest.combine
        members.append(Member(spec, embedder, groups, sha256, combine, own))
    try:
        golden = load(bundle.read("golden.safetensors"))
    except SafetensorError as error:
        raise BundleError(f"golden.safetensors: not readable: {error}") from error
    for member in members:
        check_golden(golden, bundle.manifest.golden, member)
    return members


def check_golden(golden: dict[str, Array], limit: GoldenSpec, member: Member) -> None:
    """Compute the golden input here and compare it with what the bundle expects.

    Raises
    ------
    BundleError
        Features, vectors, embeddings or scores differ by more than the bundle allows.
    """
    audio = _tensor(golden, "audio")
    if audio.ndim != 1 or audio.dtype != np.float32:
        raise BundleError(
            f"golden.safetensors: audio is {audio.dtype} of shape {audio.shape}, "
            "expected float32 of one dimension"
        )
    features = units(member.spec.features, audio)
    name = member.spec.name
    expected = _tensor(golden, f"features/{name}")
    _compare(
        f"features of {name}",
        lambda: float(np.abs(features - expected).max()),
        limit.features,
    )
    vectors = np.stack([member.embed(unit) for unit in features])
    if member.embedder is None:
        plain = _tensor(golden, f"vector/{name}")
        _compare(
            f"vectors of {name}",
            lambda: float(np.abs(vectors - plain).max()),
            limit.vector,
        )
        return
    file = member.embedder.model.file
    wanted = _tensor(golden, f"embedding/{file}")
    _compare(
        f"embeddings of {file}",
        lambda: float((1 - _cosine(vectors, wanted)).max()),
        1 - limit.cosine,
    )
    bank = KnnBank().fit(vectors[:1])
    scores = np.array([bank.score(vector) for vector in vectors[1:]])
    _compare(
        f"scores of {file}",
        lambda: float(np.abs(scores - _tensor(golden, f"score/{file}")).max()),
        limit.score,
    )


def _tensor(tensors: dict[str, Array], name: str) -> Array:
    if name not in tensors:
        raise BundleError(f"golden.safetensors: holds no tensor {name!r}")
    return tensors[name]


def _compare(what: str, difference: Callable[[], float], limit: float) -> None:
    try:
        found = difference()
    except ValueError as error:  # shapes that do not fit each other
        raise BundleError(f"golden.safetensors: {what}: {error}") from error
    if not found <= limit:  # NaN differs too
        raise BundleError(
            f"golden.safetensors: {what} differ by {found:.2g} on this device, at most "
            f"{limit:.2g} is allowed: this bundle would score differently here. Try "
            "another bundle.runtime, or build the bundle again"
        )


def _cosine(a: Array, b: Array) -> NDArray[np.float64]:
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    cosine: NDArray[np.float64] = (a64 * b64).sum(axis=1) / np.maximum(norms, 1e-12)
    return cosine
