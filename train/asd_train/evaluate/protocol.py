"""What the DCASE challenge, Task 2, counts in which year."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asd_agent.errors import ConfigError
from asd_train.data.dcase import Clip
from asd_train.evaluate.metrics import Scores, Truth, arithmetic, harmonic

Measure = Literal["auc", "pauc"]
Words = NDArray[np.str_]
FIRST_YEAR, LAST_YEAR = 2020, 2026


@dataclass(frozen=True, slots=True)
class Rules:
    """How the clips of a section become figures, and these one score."""

    year: int
    counted: Mapping[str, tuple[Measure, ...]]
    """Rows of a section by domain, and which of their figures the score takes"""
    shared_anomalies: bool
    """Whether the AUC of a domain counts the anomalies of both"""
    by_type: bool
    """Whether figures are averaged over the sections of a type first, and AUC and
    pAUC apart (arithmetic); else all at once (harmonic)"""

    def clips(self, row: str, domains: Words, truth: Truth) -> Truth:
        """Which labelled clips the AUC of a row counts, shape ``(clips,)``."""
        if row == "all":
            return np.ones(len(truth), np.bool_)
        own: Truth = domains == row
        return own | truth if self.shared_anomalies else own


_BOTH: tuple[Measure, ...] = ("auc", "pauc")


def rules(year: int) -> Rules:
    """Rules of a year of the challenge.

    2020: Koizumi et al., DCASE2020 Task 2 description: arithmetic means. 2021:
    Kawaguchi et al.: each domain by itself, harmonic mean. From 2022: Dohi et al.:
    normal clips of a domain against all anomalies, pAUC of both domains together.

    Raises
    ------
    ConfigError
        There was no such year.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ConfigError(
            f"protocol {year}: expected auto or {FIRST_YEAR} to {LAST_YEAR}"
        )
    if year == 2020:
        return Rules(year, {"all": _BOTH}, False, True)
    if year == 2021:
        return Rules(year, {"source": _BOTH, "target": _BOTH}, False, False)
    counted: dict[str, tuple[Measure, ...]] = {
        "source": ("auc",),
        "target": ("auc",),
        "all": ("pauc",),
    }
    return Rules(year, counted, True, False)


def read_year(text: str) -> int | None:
    """Read a year of the challenge, or ``auto``, which is None.

    Raises
    ------
    ConfigError
        It is neither.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"protocol {text!r}: expected auto or a year such as 2022")
    return rules(int(text)).year


def guess_year(clips: Iterable[Clip]) -> int:
    """Year whose rules fit the names and folders of test clips.

    Clips that name no domain are judged as in 2020, folders ``source_test`` and
    ``target_test`` as in 2021, others as in the year that the data says, at least
    2022: the rules are the same since.
    """
    found = list(clips)
    folders = {clip.path.parent.name for clip in found}
    if folders & {"source_test", "target_test"}:
        return 2021
    if not any(clip.domain for clip in found):
        return 2020
    return max([2022, *(clip.year for clip in found)])


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one row; arrays of one value or of one for each replicate."""

    machine: str
    section: str
    domain: str
    """`source`, `target` or `all`"""
    values: Mapping[Measure, Scores | None]
    """None: not defined for these clips"""


def counted(
    figures: Iterable[Figures], by: Rules, measure: Measure, machine: str = ""
) -> list[Scores | None]:
    """All values of a measure that count, of a machine type or of all."""
    return [
        row.values.get(measure)
        for row in figures
        if measure in by.counted.get(row.domain, ()) and machine in ("", row.machine)
    ]


def official(figures: Sequence[Figures], by: Rules) -> Scores | None:
    """Official score, shape as the values; None where one that counts is missing."""
    machines = dict.fromkeys(row.machine for row in figures)
    columns = [
        [counted(figures, by, measure, machine) for machine in machines]
        for measure in _BOTH
    ]
    known = [
        [[value for value in of_type if value is not None] for of_type in column]
        for column in columns
    ]
    if not machines or known != columns:
        return None
    if by.by_type:
        return arithmetic(
            [arithmetic([arithmetic(t) for t in column]) for column in known]
        )
    return harmonic([value for column in known for t in column for value in t])


Means = dict[str, dict[str, float | None]]


def means(figures: Iterable[Figures], by: Rules, machine: str = "") -> Means:
    """Both means of AUC and of pAUC over the rows that count and are defined."""
    found: Means = {"arithmetic": {}, "harmonic": {}}
    rows = list(figures)
    for measure in _BOTH:
        values = [v for v in counted(rows, by, measure, machine) if v is not None]
        for name, mean in (("arithmetic", arithmetic), ("harmonic", harmonic)):
            found[name][measure] = float(mean(values).squeeze()) if values else None
    return found
