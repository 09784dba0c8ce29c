"""Check that a model file fits the front end and the embedding size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import BundleError

Shape = tuple[int | str | None, ...]
"""As a runtime gives it: a free dimension is a name or None"""


def check_model(
    file: str,
    inputs: Sequence[Shape],
    outputs: Sequence[Shape],
    unit_shape: tuple[int, int],
    size: int,
) -> None:
    """Compare a model's inputs and outputs with what the manifest says.

    Raises
    ------
    BundleError
        Not exactly one input ``(1, 1, bands, unit_frames)`` and one output
        ``(1, size)``. Free dimensions fit any number.
    """
    for what, found, expected in (
        ("input", inputs, (1, 1, *unit_shape)),
        ("output", outputs, (1, size)),
    ):
        if len(found) != 1:
            raise BundleError(f"{file}: has {len(found)} {what}s, expected one")
        if not _fits(found[0], expected):
            raise BundleError(
                f"{file}: {what} has shape {found[0]}, expected {expected} "
                "from the manifest; the file belongs to another network"
            )


def _fits(found: Shape, expected: tuple[int, ...]) -> bool:
    return len(found) == len(expected) and all(
        not isinstance(have, int) or have == want
        for have, want in zip(found, expected, strict=True)
    )


def check_unit(unit: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    """Refuse a unit that numpy would otherwise broadcast.

    Raises
    ------
    ValueError
        The caller's front end is not the one that the model was opened for.
    """
    if unit.shape != shape:
        raise ValueError(f"unit has shape {unit.shape}, expected {shape}")
