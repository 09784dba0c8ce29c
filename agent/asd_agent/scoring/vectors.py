"""What every detector does with the vectors it is given."""

import numpy as np
from numpy.typing import NDArray

TINY = 1e-12
"""A norm below this is taken as this: a vector of zeros has no direction"""


def checked(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of a bank, contiguous, shape ``(n, size)``; ValueError if there is none."""
    if vectors.ndim != 2 or len(vectors) == 0:
        raise ValueError(f"expected vectors (n >= 1, size), got {vectors.shape}")
    return np.ascontiguousarray(vectors, np.float32)


def norms(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean norm of each row, shape ``(n,)``, never zero."""
    found: NDArray[np.float32] = np.linalg.norm(vectors, axis=1)
    return np.maximum(found, np.float32(TINY))


def product(
    left: NDArray[np.float32],
    right: NDArray[np.float32],
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """``left @ right``, without a warning that means nothing.

    OpenBLAS's AVX-512 kernels (0.3.31) now and then set the flag of an invalid
    operation for small arrays whose sums are right. What is not a number still shows
    in the sums.
    """
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float32] = np.matmul(left, right, out=out)
    return found
