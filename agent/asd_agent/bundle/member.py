"""A member of a bundle, opened: its front end and its network, tested."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.golden import Golden
from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.proof import Proof
from asd_agent.errors import BundleError
from asd_agent.features.spec import FeatureSpec
from asd_agent.features.stream import band_edges_hz
from asd_agent.inference.embedder import Embedder
from asd_agent.inference.open import Candidate, RuntimeChoice, candidates
from asd_agent.inference.turns import Shared, Turns
from asd_agent.scoring.combine import Combine
from asd_agent.scoring.explain import GROUPS, BandGroups
from asd_agent.scoring.pooling import pooled_size

log = logging.getLogger(__name__)

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

    @property
    def model_file(self) -> str:
        """Model file that runs; empty without a network."""
        return self.embedder.model.file if self.embedder else ""

    def embed(self, values: Array) -> Array:
        """Vector of one unit, shape ``(size,)``; without a network its statistics."""
        if self.embedder is None:
            return (self.statistics or self.groups).statistics(values)
        return self.embedder.embed(values)


def band_groups(features: FeatureSpec, groups: int = GROUPS) -> BandGroups:
    """Gather the bands of a front end into so many groups at most."""
    edges_hz = band_edges_hz(features)
    return BandGroups(edges_hz, features.mean_db, features.std_db, groups)


def member_of(
    spec: MemberSpec,
    embedder: Embedder | None = None,
    model_sha256: str = "",
    combine: Combine = "min_p",
) -> Member:
    """A member that runs with this network, or without one."""
    groups = band_groups(spec.features)
    plain = spec.embedder is None
    own = band_groups(spec.features, spec.groups) if plain else None
    return Member(spec, embedder, groups, model_sha256, combine, own)


@dataclass(frozen=True, slots=True)
class Way:
    """A member with one of the model files that can run here, not yet opened."""

    bundle: Bundle
    spec: MemberSpec
    candidate: Candidate | None
    """None without a network"""

    @property
    def library(self) -> str:
        """Library that would run it."""
        return self.candidate.library.label if self.candidate else "numpy"

    @property
    def file(self) -> str:
        """Model file; empty without a network."""
        return self.candidate.model.file if self.candidate else ""

    def open(self) -> Member:
        """Open it.

        Raises
        ------
        BundleError
            The runtime refuses the file, or it does not fit.
        """
        manifest = self.bundle.manifest
        if self.candidate is None or self.spec.embedder is None:
            return member_of(self.spec, combine=manifest.combine)
        shape, size = self.spec.features.unit_shape, self.spec.embedder.size
        embedder = self.candidate.open(self.bundle.read(self.file), shape, size)
        sha256 = manifest.files[self.file].sha256
        return member_of(self.spec, embedder, sha256, manifest.combine)


def ways(
    bundle: Bundle, spec: MemberSpec, runtime: RuntimeChoice = "auto"
) -> Iterator[Way]:
    """How a member can be opened here, the best way first.

    Raises
    ------
    RuntimeMissing
        No model of the bundle has its runtime installed.
    """
    if spec.embedder is None:
        yield Way(bundle, spec, None)
        return
    for candidate in candidates(spec.embedder, runtime, bundle.manifest.runtime):
        yield Way(bundle, spec, candidate)


def open_members(bundle: Bundle, runtime: RuntimeChoice = "auto") -> list[Member]:
    """Open every member of a bundle that repeats its golden numbers on this device.

    A model file that fails is left, with a warning, for the next that can run here:
    one odd kernel does not silence a device.

    Parameters
    ----------
    bundle
        Already verified.
    runtime
        What the device is told; ``auto`` does as the bundle says.

    Raises
    ------
    BundleError
        No model can be loaded, or this device computes other numbers.
    RuntimeMissing
        No model of the bundle has its runtime installed.
    """
    return [member for member, _ in proven_members(bundle, runtime)]


def proven_members(
    bundle: Bundle, runtime: RuntimeChoice = "auto"
) -> list[tuple[Member, Proof]]:
    """As `open_members`, each with what testing it has shown."""
    golden = Golden.open(bundle)
    return [
        _first_good(golden, ways(bundle, spec, runtime))
        for spec in bundle.manifest.members
    ]


def shared(members: Sequence[Member]) -> list[Member]:
    """The same members for several threads: their networks are used in turn."""
    turns = Turns()
    return [
        replace(member, embedder=Shared(member.embedder, turns))
        if member.embedder is not None
        else member
        for member in members
    ]


def _first_good(golden: Golden, ways: Iterable[Way]) -> tuple[Member, Proof]:
    failures: list[BundleError] = []
    for way in ways:
        try:
            member = way.open()
            proof = golden.check(member)
            proof.require()
        except BundleError as error:
            failures.append(error)
            continue
        for failure in failures:
            log.warning("%s; %s runs in its place", failure, way.file)
        return member, proof
    raise failures[0]
