"""The files that the challenge's own evaluators read.

No header, a comma, a line feed at the end of each line, the original name of every
test clip once. The evaluators sort the lines by name and put them beside the truth.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from asd_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Line:
    """One test clip."""

    name: str
    """Name of its file, ending in ``.wav`` as the original does"""
    machine: str
    section: str
    domain: str
    """`source`, `target` or empty"""
    score: float
    """NaN: it has none"""
    decision: bool
    """Whether it is called anomalous"""


def file_stem(year: int, line: Line) -> str:
    """Machine, section and domain as the name of a year's file has them.

    Raises
    ------
    ConfigError
        The year needs a domain and the clip names none.
    """
    if year == 2020:
        return f"{line.machine}_id_{line.section}"
    if year >= 2022:
        return f"{line.machine}_section_{line.section}_test"
    if not line.domain:
        raise ConfigError(
            f"{line.name} names no domain, which the files of 2021 are named by: "
            "give another --protocol"
        )
    return f"{line.machine}_section_{line.section}_{line.domain}_test"


def write(folder: Path, year: int, lines: Iterable[Line]) -> None:
    """Write scores, and since 2021 decisions, of all test clips.

    A clip without a score, of which nothing could be heard, gets the highest of
    its file and is called anomalous: a line that is missing would shift all others.

    Raises
    ------
    ConfigError
        Two clips would be the same line.
    """
    files: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        files[file_stem(year, line)].append(line)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, found in files.items():
        rows = sorted(found, key=lambda line: line.name)
        twice = [a.name for a, b in pairwise(rows) if a.name == b.name]
        if twice:
            raise ConfigError(
                f"{stem}: two test clips are called {twice[0]}: evaluate one data "
                "set at a time"
            )
        _write(folder / f"anomaly_score_{stem}.csv", _scores(rows))
        if year != 2020:
            _write(
                folder / f"decision_result_{stem}.csv",
                [(r.name, str(int(r.decision or math.isnan(r.score)))) for r in rows],
            )


def _scores(rows: list[Line]) -> list[tuple[str, str]]:
    known = [row.score for row in rows if not math.isnan(row.score)]
    highest = max(known, default=0.0)
    return [
        (row.name, repr(highest if math.isnan(row.score) else row.score))
        for row in rows
    ]


def _write(path: Path, rows: list[tuple[str, str]]) -> None:
    text = "".join(f"{name},{value}\n" for name, value in rows)
    path.write_text(text, encoding="utf-8", newline="\n")
