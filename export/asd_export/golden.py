"""The numbers that a device must repeat before it trusts a bundle."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from asd_agent.bundle.manifest import GoldenSpec
from asd_agent.bundle.member import band_groups
from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec, units
from asd_agent.inference.embedder import Embedder, ModelFile
from asd_agent.scoring.explain import GROUPS
from asd_export.parity import cosines, embed_all

Array = NDArray[np.float32]
MIN_UNITS = 4
"""Fewest units of golden audio: one to start from and three to score"""
MAX_UNITS = 6
"""Units kept: one with its features is 131 kB in the default front end"""


def golden_tensors(
    member: str,
    spec: FeatureSpec,
    audio: Array,
    embedders: Iterable[Embedder],
    groups: int = GROUPS,
) -> dict[str, Array]:
    """Compute what ``golden.safetensors`` holds for one member.

    Of a bundle with several members the tensors of all lie side by side: their audio
    is the same, since their units are.

    Parameters
    ----------
    member
        Name of the bundle's member.
    spec
        Its front end.
    audio : array, shape ``(samples,)``, float32, full scale is 1
        At the rate of `spec`; what lies past `MAX_UNITS` is dropped.
    embedders
        Every model file of the member, opened as a device opens it; none of a
        member without a network.
    groups
        Groups of bands of a member without a network.

    Returns
    -------
    dict
        ``audio``, ``features/<member>`` (n, bands, unit_frames), and for each file
        ``embedding/<file>`` (n, size) and ``score/<file>`` (n - 1,): cosine
        distance of each later embedding to the first. Without a network
        ``vector/<member>`` (n, size), decibel.

    Raises
    ------
    SoundError
        The audio has fewer than `MIN_UNITS` units.
    """
    found = spec.units_in(len(audio))
    if found < MIN_UNITS:
        raise SoundError(
            f"golden audio has {len(audio)} samples, {found} units; at least "
            f"{MIN_UNITS} units are needed: "
            f"{spec.unit_samples + (MIN_UNITS - 1) * spec.shift_samples} samples"
        )
    kept = min(found, MAX_UNITS)
    end = spec.unit_samples + (kept - 1) * spec.shift_samples
    audio = np.ascontiguousarray(audio[:end], np.float32)
    features = units(spec, audio)
    tensors = {"audio": audio, f"features/{member}": features}
    opened = tuple(embedders)
    if not opened:
        tensors[f"vector/{member}"] = _statistics(spec, features, groups)
    for embedder in opened:
        embeddings = embed_all(embedder, features)
        tensors[f"embedding/{embedder.model.file}"] = embeddings
        tensors[f"score/{embedder.model.file}"] = _distances(embeddings)
    return tensors


def _statistics(spec: FeatureSpec, features: Array, groups: int) -> Array:
    gathered = band_groups(spec, groups)
    return np.stack([gathered.statistics(unit) for unit in features])


def _distances(embeddings: Array) -> Array:
    first = np.broadcast_to(embeddings[0], embeddings[1:].shape)
    return (1 - cosines(embeddings[1:], first)).astype(np.float32)


def tolerances(models: Sequence[ModelFile]) -> GoldenSpec:
    """How closely a device must repeat the numbers of these files.

    A file that computes in float32, and int8 in ONNX Runtime, comes out the
    same on x86-64 and aarch64 but for rounding: the default of `GoldenSpec`.
    LiteRT has other int8 kernels on each processor: those that this machine can
    run instead of its usual ones turned embeddings of the default bundle to a
    cosine of 0.980 and moved golden scores by 0.021 (docs/export.md).
    """
    if any(m.runtime == "tflite" and m.precision == "int8" for m in models):
        return GoldenSpec(cosine=0.97, score=0.1)
    return GoldenSpec()
