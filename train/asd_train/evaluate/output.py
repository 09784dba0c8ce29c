"""The folder that an evaluation leaves."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from asd_train.evaluate import submission
from asd_train.evaluate.section import Scored
from asd_train.evaluate.submission import Line
from asd_train.run import write_atomic

HEADER = (
    *("path", "machine", "section", "split", "domain", "label", "attributes"),
    *("score", "p_value", "threshold", "decision"),
)


def write(
    folder: Path,
    summary: Mapping[str, Any],
    scored: Sequence[Scored],
    *,
    root: Path,
    edges_hz: NDArray[np.float32],
) -> None:
    """Write all files of an evaluation, ``evaluation.json`` last.

    Parameters
    ----------
    folder : Path
    summary : mapping
        Contents of ``evaluation.json``.
    scored : sequence of Scored
        All clips; the test clips are written first.
    root : Path
        Folder of recordings; paths are relative to it.
    edges_hz : array, shape ``(groups, 2)``

    Raises
    ------
    ConfigError
        The year's submission cannot be made of these clips.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(scored, key=lambda s: s.clip.split != "test")
    tests = [line_of(s) for s in rows if s.clip.split == "test"]
    submission.write(folder / "submission", summary["protocol"], tests)
    write_atomic(folder / "scores.csv", _scores(rows, root).encode())
    vectors = _stacked([s.vector for s in rows])
    write_atomic(folder / "embeddings.safetensors", save({"vectors": vectors}))
    spectra: dict[str, NDArray[Any]] = {
        "levels": _stacked([s.levels for s in rows]),
        # safetensors writes the memory as it lies, whatever the order of the axes.
        "edges_hz": np.ascontiguousarray(edges_hz, np.float32),
        "nearest": nearest(rows),
    }
    write_atomic(folder / "spectra.safetensors", save(spectra))
    text = json.dumps(summary, indent=1, allow_nan=False)
    write_atomic(folder / "evaluation.json", text.encode() + b"\n")


def line_of(scored: Scored) -> Line:
    """The line of a test clip in the files of the challenge."""
    clip = scored.clip
    name = f"{clip.path.stem}.wav"
    return Line(
        name, clip.machine, clip.section, clip.domain, scored.score, scored.decision
    )


def nearest(rows: Sequence[Scored]) -> NDArray[np.int64]:
    """Row of the nearest normal training clip of the same section; -1: none.

    By cosine distance of the pooled vectors; a training clip is not its own.
    """
    found = np.full(len(rows), -1, np.int64)
    sections: dict[tuple[str, str], list[int]] = {}
    for row, one in enumerate(rows):
        sections.setdefault((one.clip.machine, one.clip.section), []).append(row)
    for own in sections.values():
        bank = [row for row in own if rows[row].clip.split == "train"]
        if not bank:
            continue
        similarity = _unit([rows[r].vector for r in own]) @ (
            _unit([rows[r].vector for r in bank]).T
        )
        place = {row: column for column, row in enumerate(bank)}
        for i, row in enumerate(own):
            if row in place:
                similarity[i, place[row]] = -np.inf
            best = int(similarity[i].argmax())
            if similarity[i, best] > -np.inf:
                found[row] = bank[best]
    return found


def _unit(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    stacked = np.stack(vectors).astype(np.float64)
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    unit: NDArray[np.float64] = stacked / np.maximum(lengths, 1e-12)
    return unit


def _stacked(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Rows of one width: of a machine type with shorter ones the rest is 0."""
    width = max(len(vector) for vector in vectors)
    found = np.zeros((len(vectors), width), np.float32)
    for row, vector in zip(found, vectors, strict=True):
        row[: len(vector)] = vector
    return found


def _scores(rows: Sequence[Scored], root: Path) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    for one in rows:
        clip = one.clip
        path = clip.path.relative_to(root) if clip.path.is_relative_to(root) else None
        unknown = math.isnan(one.score)
        table.writerow(
            [
                (path or clip.path).as_posix(),
                clip.machine,
                clip.section,
                clip.split,
                clip.domain,
                clip.label,
                clip.attributes,
                *(_number(x) for x in (one.score, one.p_value, one.threshold)),
                "" if unknown else int(one.decision),
            ]
        )
    return text.getvalue()


def _number(value: float) -> str:
    return "" if math.isnan(value) else repr(float(value))
