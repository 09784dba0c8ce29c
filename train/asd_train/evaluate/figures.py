"""From scored clips to the figures of ``evaluation.json``."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asd_train.evaluate import metrics
from asd_train.evaluate.metrics import MAX_FPR, Scores, Truth
from asd_train.evaluate.protocol import Figures, Measure, Rules, means, official
from asd_train.evaluate.resample import REPLICATES, areas, draw, interval
from asd_train.evaluate.section import Scored

Entry = dict[str, Any]
"""One object of ``evaluation.json``"""
_ROWS = ("source", "target", "all")


@dataclass(frozen=True, slots=True)
class Table:
    """Test clips of one section that have a label and a score, column by column."""

    machine: str
    section: str
    truth: Truth
    scores: Scores
    called: Truth
    """Whether each is called anomalous"""
    domains: NDArray[np.str_]
    thresholds: Scores

    @classmethod
    def of(cls, machine: str, section: str, scored: Iterable[Scored]) -> "Table":
        """Take the clips that can be counted."""
        known = [s for s in scored if s.clip.label and np.isfinite(s.score)]
        return cls(
            machine,
            section,
            np.array([s.clip.label == "anomaly" for s in known], np.bool_),
            np.array([s.score for s in known], np.float64),
            np.array([s.decision for s in known], np.bool_),
            np.array([s.clip.domain for s in known], np.str_),
            np.array([s.threshold for s in known], np.float64),
        )

    def strata(self) -> NDArray[np.int64]:
        """Number of the domain and label of each clip."""
        _, domain = np.unique(self.domains, return_inverse=True)
        return np.asarray(2 * domain + self.truth, np.int64)


def summarise(tables: Sequence[Table], by: Rules, seed: int) -> dict[str, Any]:
    """Make ``sections``, ``machines`` and ``overall``.

    A section without labelled clips has no part in the means; if none has any,
    all figures are null.

    Parameters
    ----------
    tables : sequence of Table
        One a section.
    by : Rules
    seed : int
        Of the replicates that intervals are taken from.
    """
    rng = np.random.default_rng(seed)
    known = [table for table in tables if len(table.truth)] or tables
    entries: list[Entry] = []
    once: list[Figures] = []
    often: list[Figures] = []
    for table in known:
        counts = draw(table.strata(), REPLICATES, rng)
        for domain in _rows(by):
            entry = _entry(table, domain, by)
            values = _replicates(table, domain, by, counts)
            for measure in ("auc", "pauc"):
                found = values.get(measure)
                entry[f"{measure}_ci"] = None if found is None else interval(found)
            entries.append(entry)
            place = (table.machine, table.section, domain)
            once.append(Figures(*place, _once(entry)))
            often.append(Figures(*place, values))
    machines = dict.fromkeys(table.machine for table in known)
    score, scores = official(once, by), official(often, by)
    return {
        "sections": entries,
        "machines": [{"machine": m, **means(once, by, m)} for m in machines],
        "overall": {
            **means(once, by),
            "official": None if score is None else float(score.squeeze()),
            "official_ci": None if scores is None else interval(scores),
        },
    }


def _rows(by: Rules) -> list[str]:
    return [row for row in _ROWS if row in by.counted]


def _entry(table: Table, domain: str, by: Rules) -> Entry:
    """Figures of one row, but for the intervals."""
    counted = by.clips(domain, table.domains, table.truth)
    own = counted if domain == "all" else table.domains == domain
    truth, scores = table.truth[counted], table.scores[counted]
    decided = metrics.decided(table.truth[own], table.called[own])
    thresholds = np.unique(table.thresholds[own])
    return {
        "machine": table.machine,
        "section": table.section,
        "domain": domain,
        "auc": metrics.auc(truth, scores),
        "pauc": metrics.partial_auc(truth, scores) if _has_pauc(by, domain) else None,
        "precision": decided.precision if decided else None,
        "recall": decided.recall if decided else None,
        "f1": decided.f1 if decided else None,
        "f1_ev": metrics.f1_ev(table.truth[own], table.scores[own]),
        "threshold": float(thresholds[0]) if len(thresholds) == 1 else None,
        "normal": int((~truth).sum()),
        "anomalous": int(truth.sum()),
    }


def _has_pauc(by: Rules, domain: str) -> bool:
    return "pauc" in by.counted[domain]


def _once(entry: Entry) -> Mapping[Measure, Scores | None]:
    return {
        "auc": None if entry["auc"] is None else np.array([entry["auc"]]),
        "pauc": None if entry["pauc"] is None else np.array([entry["pauc"]]),
    }


def _replicates(
    table: Table, domain: str, by: Rules, counts: NDArray[np.int64]
) -> Mapping[Measure, Scores | None]:
    """AUC and pAUC of every replicate of the test clips."""
    counted = by.clips(domain, table.domains, table.truth)
    truth, scores = table.truth[counted], table.scores[counted]
    if not metrics.has_both(truth):
        return {"auc": None, "pauc": None}
    drawn = counts[:, counted]
    partly = _has_pauc(by, domain)
    return {
        "auc": areas(truth, scores, drawn),
        "pauc": areas(truth, scores, drawn, MAX_FPR) if partly else None,
    }
