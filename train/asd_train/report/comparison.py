"""The page of several evaluations, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from asd_agent.errors import ConfigError
from asd_train.evaluate.resample import REPLICATES
from asd_train.report.figures.dots import dots
from asd_train.report.folder import Evaluation
from asd_train.report.history import History
from asd_train.report.page import METRICS, columns
from asd_train.report.paired import differences
from asd_train.report.plates import COLOURS, Key, Plate
from asd_train.report.template import fill

MOST = 8
"""Runs of a page: no more can be told apart in a figure"""
_NONE = "(not set)"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table: a value of each run."""

    name: str
    values: tuple[float | None, ...]
    """0 to 1, the first run's first"""

    @property
    def best(self) -> float | None:
        """The highest value."""
        return max((v for v in self.values if v is not None), default=None)

    def difference(self, run: int) -> float | None:
        """Value of a run less that of the first."""
        first, own = self.values[0], self.values[run]
        return None if first is None or own is None else own - first


@dataclass(frozen=True, slots=True)
class Table:
    """One figure of merit of every run."""

    title: str
    lines: tuple[Line, ...]


def compare(evaluations: Sequence[Evaluation], histories: Sequence[History]) -> str:
    """Write the page; `histories` are those of `evaluations`, in order.

    Raises
    ------
    ConfigError
        There are fewer than two evaluations, or too many.
    """
    if not 2 <= len(evaluations) <= MOST:
        raise ConfigError(
            f"{len(evaluations)} evaluations cannot be compared: give 2 to {MOST}"
        )
    names = labels(evaluations)
    machines = _machines(evaluations)
    return fill(
        "compare.html",
        title=f"{', '.join(names[:-1])} and {names[-1]}",
        names=names,
        summaries=[evaluation.summary for evaluation in evaluations],
        differences=[None, *differences(evaluations)],
        replicates=REPLICATES,
        machines=machines,
        sections=_sections(evaluations),
        plates=[_plate(table, names, number) for number, table in enumerate(machines)],
        settings=settings([history.recipe for history in histories]),
    )


def labels(evaluations: Sequence[Evaluation]) -> list[str]:
    """Short names that differ: of the run, and where that is not enough its place."""
    names = [
        e.summary.name + (", quantised" if e.summary.quantised else "")
        for e in evaluations
    ]
    places = [e.made_of.name for e in evaluations]
    found: list[str] = []
    for name, place in zip(names, places, strict=True):
        label = name if names.count(name) == 1 else f"{name} ({place})"
        found.append(label if label not in found else f"{label} {len(found) + 1}")
    return found


def _machines(evaluations: Sequence[Evaluation]) -> list[Table]:
    """AUC and pAUC of each machine, averaged as the protocol of the first does."""
    first = evaluations[0].summary
    how = "arithmetic" if first.protocol == 2020 else "harmonic"
    means = [
        {m.machine: getattr(m, how) for m in e.summary.machines} for e in evaluations
    ]
    overall = [getattr(e.summary.overall, how) for e in evaluations]
    types = dict.fromkeys(name for some in means for name in some)
    tables = []
    for metric, title in METRICS.items():
        lines = [
            Line(name, tuple(getattr(m.get(name), metric, None) for m in means))
            for name in types
        ]
        if len(lines) > 1:
            total = tuple(getattr(pair, metric) for pair in overall)
            lines.append(Line("all", total))
        tables.append(Table(f"{title}, {how} mean", tuple(lines)))
    return tables


def _sections(evaluations: Sequence[Evaluation]) -> list[Table]:
    summaries = [evaluation.summary for evaluation in evaluations]
    first = summaries[0]
    places = dict.fromkeys((r.machine, r.section) for r in first.sections)
    tables = []
    for column in columns(first):
        lines = [
            Line(
                f"{machine} {section}",
                tuple(
                    column.value(s.row(machine, section, column.domain))
                    for s in summaries
                ),
            )
            for machine, section in places
        ]
        tables.append(Table(f"{column.title}, {column.domain}", tuple(lines)))
    return tables


def _plate(table: Table, names: Sequence[str], number: int) -> Plate:
    svg = dots(
        [line.values for line in table.lines],
        [line.name for line in table.lines],
        names,
        f"dots{number}",
        table.title,
    )
    keys = tuple(Key(f"c{i % COLOURS}", name) for i, name in enumerate(names))
    return Plate(svg, table.title, keys=keys)


def settings(recipes: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Keys of the recipes that differ, each with its value in every recipe."""
    flat = [_flat(_loaded(text)) for text in recipes]
    keys = dict.fromkeys(key for one in flat for key in one)
    rows = [(key, [one.get(key, _NONE) for one in flat]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _loaded(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return {"recipe.yaml": "not YAML"}


def _flat(value: Any, key: str = "") -> dict[str, str]:
    """Nested mappings and lists as one: ``{"loss.scale": "30"}``."""
    if isinstance(value, dict) and value:
        parts = [
            (f"{key}.{name}" if key else str(name), v) for name, v in value.items()
        ]
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        parts = [(f"{key}[{number}]", v) for number, v in enumerate(value)]
    else:
        return {key: str(value)} if key else {}
    found: dict[str, str] = {}
    for name, part in parts:
        found.update(_flat(part, name))
    return found
