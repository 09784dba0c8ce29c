"""The golden numbers: what a device must compute before it trusts a bundle.

Golden sound is a few short clips that span what the network was trained on. The
exporter writes what every model file makes of it, and a device computes the same by
the same code.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import FileTolerance, GoldenSpec, Manifest
from asd_agent.bundle.numbers import Sound, key, malformed, numbers, vectors_of
from asd_agent.bundle.proof import Proof, Row
from asd_agent.errors import BundleError
from asd_agent.features.spec import FeatureSpec
from asd_agent.scoring.combine import LEAST_P
from asd_agent.scoring.vectors import TINY

if TYPE_CHECKING:
    from asd_agent.bundle.member import Member

GOLDEN = "golden.safetensors"

Array = NDArray[np.floating[Any]]
Tensors = Mapping[str, NDArray[Any]]


def expected(
    audio: NDArray[np.int16], members: Iterable["Member"]
) -> dict[str, NDArray[Any]]:
    """Compute what ``golden.safetensors`` holds.

    Parameters
    ----------
    audio : array, shape ``(clips, samples)``, int16
        At the rate of the members' front ends.
    members
        Each member of the bundle once for every model file that it can run with.

    Returns
    -------
    dict
        ``audio``; ``features/<member>`` of the first member with a front end; and of
        each member, under ``<member>/<file>`` or without a network ``<member>``,
        what `numbers` yields.

    Raises
    ------
    BundleError
        The audio is too short or not 16 bits, or a network gives no numbers.
    """
    sound = Sound(audio)
    tensors: dict[str, NDArray[Any]] = {"audio": audio}
    fronts: dict[FeatureSpec, str] = {}
    for member in members:
        spec = member.spec.features
        name = fronts.setdefault(spec, member.spec.name)
        tensors[f"features/{name}"] = sound.features(spec)
        vectors = vectors_of(member, sound)
        if not np.isfinite(vectors).all():
            raise BundleError(
                f"{key(member)}: gives what is not a number", "not_finite"
            )
        for what, values in numbers(member, vectors):
            tensors[f"{what}/{key(member)}"] = values.astype(np.float32)
    # safetensors writes an array as it lies in memory.
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}


class Golden:
    """The golden numbers of a bundle, and what this device makes of their sound."""

    def __init__(self, tensors: Tensors, manifest: Manifest) -> None:
        """Take tensors as `expected` gives them, read from a file.

        Raises
        ------
        BundleError
            They hold no usable sound.
        """
        self._tensors = tensors
        self._limit = manifest.golden
        self._sound = Sound(self._tensor("audio"))
        self._fronts: dict[FeatureSpec, str] = {}
        for member in manifest.members:
            self._fronts.setdefault(member.features, member.name)

    @classmethod
    def open(cls, bundle: Bundle) -> "Golden":
        """Read them.

        Raises
        ------
        BundleError
            The file cannot be read.
        """
        try:
            return cls(load(bundle.read(GOLDEN)), bundle.manifest)
        except (SafetensorError, KeyError, ValueError) as error:
            raise malformed(f"not readable: {error}") from error

    def check(self, *members: "Member") -> Proof:
        """Compute the numbers of some members and compare them.

        Raises
        ------
        BundleError
            The tensors are not those of these members.
        """
        return Proof(tuple(row for member in members for row in self._rows(member)))

    def _rows(self, member: "Member") -> Iterator[Row]:
        file = member.model_file

        def row(what: str, difference: float, allowed: float) -> Row:
            name = member.spec.name
            return Row(name, file, member.library, what, difference, allowed)

        spec = member.spec.features
        if self._fronts[spec] == member.spec.name:  # once for all that share it
            found = self._sound.features(spec)
            wanted = self._tensor(f"features/{member.spec.name}", found.shape)
            yield row("features", _apart(found, wanted), self._limit.features)
        vectors = vectors_of(member, self._sound)
        if not np.isfinite(vectors).all():
            yield row("vector", float("nan"), 0.0)
            return
        allowed = _allowed(self._limit, file)
        apart = _turned if member.embedder else _apart
        measures = {
            "vector": apart,
            "pooled": apart,
            "score": _apart_above_1,
            "p_value": _share,
        }
        for what, values in numbers(member, vectors):
            wanted = self._tensor(f"{what}/{key(member)}", values.shape)
            difference = measures[what](values, wanted)
            yield row(what, difference, allowed[what])

    def _tensor(self, name: str, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        if name not in self._tensors:
            raise malformed(f"holds no tensor {name!r}")
        found = self._tensors[name]
        if shape and (found.shape != shape or found.dtype != np.float32):
            raise malformed(
                f"{name} is {found.dtype} of shape {found.shape}, expected float32 of "
                f"{shape}"
            )
        if not np.isfinite(found).all():
            raise malformed(f"{name} holds what is not a number")
        return found


def _allowed(limit: GoldenSpec, file: str) -> dict[str, float]:
    """Largest difference of each kind of number."""
    base = FileTolerance(cosine=limit.cosine, score=limit.score, p_value=limit.p_value)
    own = limit.files.get(file, base)
    vector = 1 - own.cosine if file else limit.vector
    return {
        "vector": vector,
        "pooled": vector,
        "score": own.score,
        "p_value": own.p_value,
    }


def _apart(found: Array, wanted: Array) -> float:
    """Largest absolute difference."""
    return float(np.abs(found - wanted).max())


def _apart_above_1(found: Array, wanted: Array) -> float:
    """Largest absolute difference, of values above 1 as a share of them."""
    return float((np.abs(found - wanted) / np.maximum(np.abs(wanted), 1)).max())


def _share(found: Array, wanted: Array) -> float:
    """Largest difference of p-values ``(clips, ...)``, as a share of the larger one.

    Among the scores of the calibration they move in steps, and two that are almost
    the same may change places: one step is free there.
    """
    step = 1 / len(found)
    smaller, larger = np.minimum(found, wanted), np.maximum(found, wanted)
    apart = larger - smaller - np.where(smaller > step * 0.999, step, 0)
    return float((np.maximum(apart, 0) / np.maximum(larger, LEAST_P)).max())


def _turned(found: Array, wanted: Array) -> float:
    """Largest of 1 less the cosine of vectors, along the last axis."""
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    turned = 1 - (a * b).sum(axis=-1) / np.maximum(norms, TINY)
    # The deviation over one unit is no direction, here as there.
    nothing = ~a.any(axis=-1) & ~b.any(axis=-1)
    return float(np.where(nothing, 0, turned).max())
