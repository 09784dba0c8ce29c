"""The numbers that a device must repeat before it trusts a bundle."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.golden import expected
from asd_agent.bundle.manifest import FileTolerance, GoldenSpec, MemberSpec
from asd_agent.bundle.member import member_of
from asd_agent.errors import BundleError, SoundError
from asd_agent.inference.embedder import Embedder, ModelFile

FLOAT = FileTolerance(cosine=0.9995, score=0.005, p_value=0.1)
TOLERANCES: dict[tuple[str, str], FileTolerance] = {
    ("onnx", "float32"): FLOAT,
    ("onnx", "int8"): FileTolerance(cosine=0.995, score=0.02, p_value=0.2),
    ("tflite", "float32"): FLOAT,
    ("tflite", "int8"): FileTolerance(cosine=0.98, score=0.05, p_value=0.6),
}
"""By runtime and precision; what they rest on is measured in docs/export.md"""


def golden_tensors(
    audio: NDArray[np.int16],
    members: Iterable[MemberSpec],
    embedders: Sequence[Embedder],
) -> dict[str, NDArray[Any]]:
    """Compute what ``golden.safetensors`` holds.

    Parameters
    ----------
    audio : array, shape ``(clips, samples)``, int16
        At the rate of the members.
    members
        All of the bundle.
    embedders
        Every model file, opened as a device opens it.

    Raises
    ------
    SoundError
        There are too few clips, or they are shorter than a unit.
    BundleError
        A model file gives what is not a number.
    """
    opened = [
        member_of(spec, embedder)
        for spec in members
        for embedder in (embedders if spec.embedder else (None,))
    ]
    try:
        return expected(audio, opened)
    except BundleError as error:
        if error.reason == "malformed":
            raise SoundError(f"golden audio of the run: {error}") from error
        raise


def tolerances(models: Iterable[ModelFile]) -> GoldenSpec:
    """How closely a device must repeat the numbers of these files."""
    files = {model.file: TOLERANCES[model.runtime, model.precision] for model in models}
    return GoldenSpec(files=files)
