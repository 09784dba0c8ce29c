"""The page of one evaluation."""

from dataclasses import dataclass
from pathlib import Path

from asd_train.report import plates
from asd_train.report.exhibits import exhibits
from asd_train.report.folder import Evaluation
from asd_train.report.history import History
from asd_train.report.summary import Row, Summary
from asd_train.report.template import fill

DOMAINS = ("source", "target", "all")
METRICS = {"auc": "AUC", "pauc": "pAUC"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader wants to see beyond the tables."""

    data: Path | None = None
    """Folder of recordings, for spectrograms"""
    maps: tuple[str, ...] | None = None
    """Machines or ``machine/section`` to map; None: every machine"""
    clips: int = 6
    """Most anomalous clips to show"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table of sections."""

    domain: str
    metric: str
    """`auc` or `pauc`"""

    @property
    def title(self) -> str:
        """Name of the figure of merit."""
        return METRICS[self.metric]

    def value(self, row: Row | None) -> float | None:
        """Figure of merit of a row, 0 to 1."""
        found: float | None = getattr(row, self.metric, None)
        return found

    def interval(self, row: Row | None) -> tuple[float, float] | None:
        """Its confidence interval."""
        found: tuple[float, float] | None = getattr(row, f"{self.metric}_ci", None)
        return found


def columns(summary: Summary) -> list[Column]:
    """Columns of the table of sections that hold anything."""
    every = [Column(domain, metric) for domain in DOMAINS for metric in METRICS]
    return [
        column
        for column in every
        if any(
            row.domain == column.domain and column.value(row) is not None
            for row in summary.sections
        )
    ]


def page(evaluation: Evaluation, history: History, choice: Choice) -> str:
    """Write the page.

    Parameters
    ----------
    evaluation : Evaluation
    history : History
        Of the training; parts that are not known are left out.
    choice : Choice

    Returns
    -------
    str
        HTML that needs nothing beside itself.

    Raises
    ------
    ConfigError
        `choice` names a machine that the evaluation has not.
    """
    summary = evaluation.summary
    return fill(
        "report.html",
        title=summary.name,
        summary=summary,
        domains=[d for d in DOMAINS if any(r.domain == d for r in summary.sections)],
        columns=columns(summary),
        rocs=list(plates.rocs(evaluation)),
        histograms=list(plates.histograms(evaluation)),
        maps=list(plates.maps(evaluation, choice.maps)),
        exhibits=list(exhibits(evaluation, history, choice.data, choice.clips)),
        training=list(plates.training(history)),
        recipe=history.recipe,
    )
