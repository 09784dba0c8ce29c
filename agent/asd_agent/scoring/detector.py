"""The detectors that a manifest can name, and their common verbs."""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from asd_agent.scoring.bank import KnnBank


class DetectorSpec(BaseModel):
    """A detector and its parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["knn"] = "knn"
    k: int = Field(1, ge=1, le=1024)
    """Neighbours whose distances are averaged (Morita et al. 2021: 1)"""


class Detector(Protocol):
    """Learns normal vectors and scores others; higher is more anomalous."""

    def fit(self, vectors: NDArray[np.float32]) -> "Detector":
        """Learn from normal vectors, shape ``(n, size)``."""
        ...

    def score(self, vector: NDArray[np.float32]) -> float:
        """Score one vector, shape ``(size,)``."""
        ...

    def nearest(self, vector: NDArray[np.float32]) -> tuple[int, float]:
        """Row of the nearest normal vector, and its distance."""
        ...


def build(spec: DetectorSpec) -> Detector:
    """Make the detector that `spec` names, not yet fitted."""
    return KnnBank(k=spec.k)
