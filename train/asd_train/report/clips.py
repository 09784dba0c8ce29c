"""The clips of ``scores.csv``, column by column."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import AsdError
from asd_train.evaluate.protocol import rules
from asd_train.report.summary import Row

Words = NDArray[np.str_]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WORDS = ("path", "machine", "section", "split", "domain", "label", "attributes")
_NUMBERS = ("score", "p_value", "threshold", "decision")


class EvaluationError(AsdError):
    """An evaluation is missing, incomplete or not what it says."""

    exit_code = 9


@dataclass(frozen=True, slots=True)
class Clips:
    """All clips, the test's first; every array has the shape ``(clips,)``."""

    path: Words
    """Relative to the folder of recordings"""
    machine: Words
    section: Words
    split: Words
    """`test`, or `train` with the score that the clip has when it is held out"""
    domain: Words
    """`source`, `target`, or empty"""
    label: Words
    """`normal`, `anomaly`, or empty where it is hidden"""
    attributes: Words
    score: Numbers
    """Higher is more anomalous; NaN where the file has none, as in the next three"""
    p_value: Numbers
    threshold: Numbers
    decision: Numbers
    """1: called anomalous, 0: not"""

    def __len__(self) -> int:
        return len(self.path)

    @property
    def tested(self) -> Mask:
        """Clips of the test that have a score."""
        found: Mask = (self.split == "test") & np.isfinite(self.score)
        return found

    def of(self, machine: str, section: str = "") -> Mask:
        """Clips of a machine type, or of one section of it."""
        found: Mask = self.machine == machine
        if section:
            found = found & (self.section == section)
        return found

    def counted(self, row: Row, protocol: int) -> Mask:
        """Test clips that the figures of a row count by the rules of a year."""
        labelled = (self.label == "normal") | (self.label == "anomaly")
        found: Mask = self.of(row.machine, row.section) & self.tested & labelled
        truth = self.label[found] == "anomaly"
        found[found] = rules(protocol).clips(row.domain, self.domain[found], truth)
        return found


def read(lines: Iterable[str], name: str) -> Clips:
    """Read the text of ``scores.csv``; `name` is for the message.

    Raises
    ------
    EvaluationError
        A column is missing, a line is too short or a number cannot be read.
    """
    reader = csv.reader(lines)
    header = next(reader, [])
    missing = [key for key in (*_WORDS, *_NUMBERS) if key not in header]
    if missing:
        raise EvaluationError(
            f"{name} has no column {missing[0]!r}: run asd-train evaluate again"
        )
    rows = []
    for row in reader:
        if len(row) != len(header):
            raise EvaluationError(
                f"{name}, line {reader.line_num}: {len(row)} values, expected "
                f"{len(header)}: run asd-train evaluate again"
            )
        rows.append(row)
    columns = dict(zip(header, zip(*rows, strict=True), strict=True)) if rows else {}
    if not columns:
        raise EvaluationError(f"{name} has no clips: run asd-train evaluate again")
    path, machine, section, split, domain, label, attributes = (
        np.array(columns[key], np.str_) for key in _WORDS
    )
    score, p_value, threshold, decision = (
        _numbers(columns[key], f"{name}, column {key!r}") for key in _NUMBERS
    )
    words = (path, machine, section, split, domain, label, attributes)
    return Clips(*words, score, p_value, threshold, decision)


def _numbers(texts: Iterable[str], where: str) -> Numbers:
    try:
        return np.array([float(text or "nan") for text in texts])
    except ValueError as error:
        raise EvaluationError(
            f"{where}: {error}: run asd-train evaluate again"
        ) from error
