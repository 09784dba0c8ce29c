"""An evaluation's folder, opened for reading."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from asd_train.report import clips
from asd_train.report.clips import Clips, EvaluationError
from asd_train.report.summary import Summary

_NAME = "evaluation.json"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What ``asd-train evaluate`` wrote; rows of the arrays are those of `clips`."""

    path: Path
    summary: Summary
    clips: Clips
    vectors: NDArray[np.float32]
    """Pooled embedding of each clip, shape ``(clips, d)``"""
    levels: NDArray[np.float32]
    """Decibel, mean level of each group of bands, shape ``(clips, groups)``"""
    edges_hz: NDArray[np.float32]
    """Hertz, edges of each group, shape ``(groups, 2)``"""
    nearest: NDArray[np.int64]
    """Row of the normal training clip that is nearest, -1: none; ``(clips,)``"""

    @classmethod
    def open(cls, path: Path) -> "Evaluation":
        """Open an evaluation, or that of a run.

        Parameters
        ----------
        path : Path
            Folder of an evaluation, or of a run that holds it as ``evaluation``.

        Raises
        ------
        EvaluationError
            It is not there, damaged, or its files do not belong together.
        """
        folder = _find(path)
        try:
            summary = Summary.model_validate_json(_read(folder, _NAME))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise EvaluationError(
                f"{folder / _NAME}: {key}: {first['msg']}: run asd-train evaluate again"
            ) from error
        # As csv asks for it, line ends are kept.
        text = _read(folder, "scores.csv").splitlines(keepends=True)
        found = clips.read(text, str(folder / "scores.csv"))
        rows = len(found)
        vectors = _tensors(
            folder / "embeddings.safetensors", {"vectors": (rows, None)}
        )["vectors"]
        spectra = _tensors(
            folder / "spectra.safetensors",
            {"levels": (rows, None), "edges_hz": (None, 2), "nearest": (rows,)},
        )
        _check(folder / "spectra.safetensors", spectra)
        keys = ("levels", "edges_hz", "nearest")
        return cls(folder, summary, found, vectors, *(spectra[key] for key in keys))

    @property
    def made_of(self) -> Path:
        """The run or bundle that the evaluation lies in, as far as can be seen."""
        above = self.path.resolve().parents[:3]
        marks = ("run.json", "recipe.yaml", "manifest.json")
        known = (f for f in above if any((f / mark).is_file() for mark in marks))
        return next(known, above[0])


def _find(path: Path) -> Path:
    for folder in (path, path / "evaluation"):
        if (folder / _NAME).is_file():
            return folder
    raise EvaluationError(
        f"{path} holds no evaluation (no {_NAME}, no evaluation/{_NAME}): "
        f"run asd-train evaluate {path} --data DIR first"
    )


def _read(folder: Path, name: str) -> str:
    try:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"{folder / name} cannot be read ({error}): run asd-train evaluate again"
        ) from error


def _tensors(
    path: Path, shapes: dict[str, tuple[int | None, ...]]
) -> dict[str, NDArray[Any]]:
    """Load tensors and see that they have the shapes, where None is any size."""
    try:
        found: dict[str, NDArray[Any]] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise EvaluationError(
            f"{path} cannot be read ({error}): run asd-train evaluate again"
        ) from error
    for key, expected in shapes.items():
        shape = found[key].shape if key in found else None
        fits = shape is not None and len(shape) == len(expected)
        if (
            not shape
            or not fits
            or any(
                e is not None and e != n for e, n in zip(expected, shape, strict=True)
            )
        ):
            wanted = tuple("any" if n is None else n for n in expected)
            raise EvaluationError(
                f"{path}: tensor {key!r} has the shape {shape}, scores.csv asks for "
                f"{wanted}: run asd-train evaluate again"
            )
    return found


def _check(path: Path, spectra: dict[str, NDArray[Any]]) -> None:
    rows, groups = spectra["levels"].shape
    if len(spectra["edges_hz"]) != groups:
        raise EvaluationError(
            f"{path}: {groups} groups of bands but {len(spectra['edges_hz'])} pairs "
            "of edges: run asd-train evaluate again"
        )
    if rows and not (-1 <= spectra["nearest"].min() <= spectra["nearest"].max() < rows):
        raise EvaluationError(
            f"{path}: nearest names a clip that scores.csv has not: "
            "run asd-train evaluate again"
        )
