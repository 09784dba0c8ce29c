"""What training left beside the weights: recipe, front end, curves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from asd_agent.features import FeatureSpec, SecomSpec
from asd_train.report.clips import EvaluationError

CURVES = ("loss", "accuracy", "rate")
"""Keys of ``metrics.jsonl`` that are drawn"""

_SPEC: TypeAdapter[SecomSpec] = TypeAdapter(FeatureSpec)


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over the training of one network."""

    machine: str
    """Machine type of the network; empty: one network for all"""
    steps: NDArray[np.float64]
    """Batches, shape ``(n,)``"""
    values: NDArray[np.float64]
    """Shape ``(n,)``"""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of how the evaluated thing was made; parts may be missing."""

    recipe: str
    """Text of ``recipe.yaml``; empty: not there"""
    curves: dict[str, tuple[Curve, ...]]
    """By key of the metrics"""
    features: dict[str, FeatureSpec]
    """Front end by machine type; under the empty name that of all"""

    def front_end(self, machine: str) -> FeatureSpec:
        """Front end that a machine type is heard with."""
        found = self.features
        return found.get(machine) or found.get("") or SecomSpec()


def read(folder: Path) -> History:
    """Read a run, a folder of runs (one a machine type) or a bundle.

    Raises
    ------
    EvaluationError
        A file that is there cannot be understood.
    """
    runs = {"": folder}
    if not (folder / "run.json").is_file():
        inside = sorted(folder.glob("*/run.json"))
        runs.update({path.parent.name: path.parent for path in inside})
    features = {}
    for machine, run in runs.items():
        spec = _features(run)
        if spec is not None:
            features[machine] = spec
    rows = {m: _metrics(run / "metrics.jsonl") for m, run in runs.items()}
    curves = {key: _curves(rows, key) for key in CURVES}
    recipe = folder / "recipe.yaml"
    text = recipe.read_text("utf-8", "replace") if recipe.is_file() else ""
    return History(text, curves, features)


def _features(run: Path) -> FeatureSpec | None:
    """Front end of a run, or of the first member of a bundle."""
    try:
        if (run / "run.json").is_file():
            found = json.loads((run / "run.json").read_bytes())["features"]
        elif (run / "manifest.json").is_file():
            content = json.loads((run / "manifest.json").read_bytes())
            found = content["members"][0]["features"]
        else:
            return None
        return _SPEC.validate_python(found)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise EvaluationError(
            f"{run}: the front end cannot be read ({why}): give the folder that "
            "was evaluated"
        ) from error


def _metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of ``metrics.jsonl``; the last may be cut short by a power cut."""
    if not path.is_file():
        return []
    rows = []
    lines = path.read_text("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row["step"] = float(row["step"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise EvaluationError(
                f"{path}, line {number}: expected an object with a step ({error}): "
                "mend or remove the line"
            ) from error
        rows.append(row)
    return rows


def _curves(rows: dict[str, list[dict[str, Any]]], key: str) -> tuple[Curve, ...]:
    found = []
    for machine, some in rows.items():
        pairs = [
            (row["step"], float(row[key]))
            for row in some
            if isinstance(row.get(key), int | float)
        ]
        if pairs:
            steps, values = np.array(sorted(pairs)).T
            found.append(Curve(machine, steps, values))
    return tuple(found)
