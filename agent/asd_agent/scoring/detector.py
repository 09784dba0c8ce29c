"""The detectors that a manifest can name, and their common verbs."""

from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.calibration import COSINE_FLOOR, SCATTER_FLOOR
from asd_agent.scoring.lof import Lof
from asd_agent.scoring.mahalanobis import Mahalanobis
from asd_agent.scoring.minimum import Minimum, Part


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def floor(self) -> float:
        """Smallest scale that scores of normal windows are taken to have.

        A sound that repeats exactly scores the same each time; the next rounding
        that differs must not look like something that cannot be.
        """
        return SCATTER_FLOOR


class KnnSpec(_Spec):
    """Nearest neighbours by cosine distance."""

    kind: Literal["knn"] = "knn"
    k: int = Field(1, ge=1, le=1024)
    """Neighbours whose distances are averaged (Morita et al. 2021: 1)"""
    density: int = Field(0, ge=0, le=1024)
    """Neighbours of a normal vector whose mean distance divides the distance to
    it, so that sparse and dense parts of the bank are alike; 0: not divided"""
    centroids: int = Field(0, ge=0, le=10_000)
    """Rows that k-means makes of the bank; 0: the bank as it is"""

    @property
    def floor(self) -> float:
        """Cosine distances have a scale of their own; ratios count in scatter."""
        return SCATTER_FLOOR if self.density else COSINE_FLOOR


class LofSpec(_Spec):
    """Local outlier factor."""

    kind: Literal["lof"] = "lof"
    k: int = Field(4, ge=1, le=1024)
    """Neighbours (Morita et al. 2021: 4)"""


class MahalanobisSpec(_Spec):
    """Distance from the mean by a shrunk covariance."""

    kind: Literal["mahalanobis"] = "mahalanobis"


PartSpec = Annotated[KnnSpec | LofSpec | MahalanobisSpec, Field(discriminator="kind")]


class MinimumSpec(_Spec):
    """The least of several detectors' scores, each in deviations above its mean."""

    kind: Literal["minimum"] = "minimum"
    parts: tuple[PartSpec, ...] = Field(min_length=2, max_length=8)


DetectorSpec = Annotated[
    KnnSpec | LofSpec | MahalanobisSpec | MinimumSpec, Field(discriminator="kind")
]
"""A detector and its parameters"""


class Detector(Protocol):
    """Learns normal vectors and scores others; higher is more anomalous."""

    def fit(
        self, vectors: NDArray[np.float32], independent: int | None = None
    ) -> "Detector":
        """Learn from normal vectors, shape ``(n, size)``, n >= 1.

        Of windows that overlap `independent` do not; None: none overlaps.
        """
        ...

    def score(self, vector: NDArray[np.float32]) -> float:
        """Score one vector, shape ``(size,)``."""
        ...

    def nearest(self, vector: NDArray[np.float32]) -> tuple[int, float]:
        """Row of the nearest normal vector, and its distance as the detector has it."""
        ...


def build(spec: DetectorSpec) -> Detector:
    """Make the detector that `spec` names, not yet fitted."""
    if isinstance(spec, KnnSpec):
        return KnnBank(spec.k, spec.density, spec.centroids)
    if isinstance(spec, LofSpec):
        return Lof(spec.k)
    if isinstance(spec, MahalanobisSpec):
        return Mahalanobis()
    return Minimum([_part(part) for part in spec.parts])


def _part(spec: PartSpec) -> Part:
    return Part(lambda: build(spec), spec.floor)
