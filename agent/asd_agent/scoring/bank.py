"""Memory bank with k-nearest-neighbour scores by cosine distance."""

import numpy as np
from numpy.typing import NDArray


class KnnBank:
    """Mean cosine distance to the `k` nearest normal vectors.

    Morita et al. 2021, section 2.3, with k = 1. A plain matrix product: up to
    about 10,000 vectors nothing else is faster (docs/performance.md).
    """

    def __init__(self, k: int = 1) -> None:
        self._k = k
        self.vectors: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        """Normal vectors as given, shape ``(n, size)``"""
        self._unit = self.vectors
        self._similarity: NDArray[np.float32] = np.zeros(0, np.float32)

    def fit(self, vectors: NDArray[np.float32]) -> "KnnBank":
        """Keep normal vectors, shape ``(n, size)``, n >= 1."""
        if vectors.ndim != 2 or len(vectors) == 0:
            raise ValueError(f"expected vectors (n >= 1, size), got {vectors.shape}")
        self.vectors = np.ascontiguousarray(vectors, np.float32)
        self._unit = self.vectors / _norms(self.vectors)[:, None]
        self._similarity = np.zeros(len(vectors), np.float32)
        return self

    def _similarities(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        norm = max(float(np.linalg.norm(vector)), 1e-12)
        return np.matmul(self._unit, vector / np.float32(norm), out=self._similarity)

    def score(self, vector: NDArray[np.float32]) -> float:
        """Score one vector, shape ``(size,)``: 0 (as normal) to 2."""
        similarity = self._similarities(vector)
        k = min(self._k, len(similarity))
        if k == 1:
            best = float(similarity.max())
        else:
            best = float(np.partition(similarity, -k)[-k:].mean())
        # In this order what is not a number stays so, and does not become normal.
        return max(1.0 - best, 0.0)

    def nearest(self, vector: NDArray[np.float32]) -> tuple[int, float]:
        """Row of the nearest normal vector, and its cosine distance."""
        similarity = self._similarities(vector)
        row = int(similarity.argmax())
        return row, max(1.0 - float(similarity[row]), 0.0)


def _norms(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms: NDArray[np.float32] = np.linalg.norm(vectors, axis=1)
    return np.maximum(norms, np.float32(1e-12))
