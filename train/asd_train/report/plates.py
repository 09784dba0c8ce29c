"""The figures of an evaluation, with what a reader needs beside them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asd_agent.errors import ConfigError
from asd_train.report.figures.curves import curves
from asd_train.report.figures.embedding import embedding, mapped
from asd_train.report.figures.histogram import DomainScores, histogram
from asd_train.report.figures.roc import MAX_SECTIONS, Scored, roc
from asd_train.report.folder import Evaluation
from asd_train.report.history import CURVES, History
from asd_train.report.summary import Row

COLOURS = 8
"""Colours of curves that a page has"""


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend."""

    colour: str
    """Variable of the page, such as ``c0``"""
    text: str


@dataclass(frozen=True, slots=True)
class Plate:
    """One figure."""

    svg: str
    """Safe to put into a page as it is"""
    caption: str
    machine: str = ""
    """Machine type that it is about; empty: all"""
    keys: tuple[Key, ...] = ()
    """Legend"""


def rocs(evaluation: Evaluation) -> Iterator[Plate]:
    """Plot the ROC of each machine, a few sections a figure."""
    summary = evaluation.summary
    for number, machine in enumerate(summary.types):
        sections = summary.sections_of(machine)
        for first in range(0, len(sections), MAX_SECTIONS):
            some = sections[first : first + MAX_SECTIONS]
            scored = [
                _scored(evaluation, row, some.index(row.section))
                for row in summary.sections
                if row.machine == machine
                and row.section in some
                # Beside the curves of both domains, one of all says nothing more.
                and not (
                    row.domain == "all" and summary.row(machine, row.section, "source")
                )
            ]
            name = f"roc{number}-{first}"
            keys = tuple(Key(f"c{i}", f"section {s}") for i, s in enumerate(some))
            title = f"ROC of {machine}"
            yield Plate(roc(scored, name, title), machine, machine, keys)


def _scored(evaluation: Evaluation, row: Row, colour: int) -> Scored:
    clips = evaluation.clips
    mine = clips.counted(row, evaluation.summary.protocol)
    anomalous = clips.label[mine] == "anomaly"
    return Scored(clips.score[mine], anomalous, colour, row.domain == "target")


def histograms(evaluation: Evaluation) -> Iterator[Plate]:
    """Plot the scores of each section."""
    places = dict.fromkeys((r.machine, r.section) for r in evaluation.summary.sections)
    for number, (machine, section) in enumerate(places):
        panels = list(_panels(evaluation, machine, section))
        if panels:
            title = f"Scores of {machine}, section {section}"
            svg = histogram(panels, f"scores{number}", title)
            yield Plate(svg, f"{machine}, section {section}", machine)


def _panels(
    evaluation: Evaluation, machine: str, section: str
) -> Iterator[DomainScores]:
    clips, summary = evaluation.clips, evaluation.summary
    mine = clips.of(machine, section) & clips.tested
    for domain in ("source", "target", ""):
        some = mine & (clips.domain == domain)
        normal = clips.score[some & (clips.label == "normal")]
        anomalous = clips.score[some & (clips.label == "anomaly")]
        if len(normal) + len(anomalous):
            row = summary.row(machine, section, domain or "all")
            threshold = row.threshold if row else None
            if threshold is None:
                used = clips.threshold[some]
                same = np.isfinite(used).all() and np.ptp(used) == 0
                threshold = float(used[0]) if same else None
            yield DomainScores(domain or "all", normal, anomalous, threshold)


def maps(evaluation: Evaluation, wanted: Sequence[str] | None) -> Iterator[Plate]:
    """Map the embeddings of machines, or sections, each on its own.

    Parameters
    ----------
    evaluation : Evaluation
    wanted : sequence of str or None
        ``fan`` or ``fan/00`` each; None: every machine.

    Raises
    ------
    ConfigError
        The evaluation has no such machine or section.
    """
    clips = evaluation.clips
    for number, place in enumerate(_places(evaluation, wanted)):
        machine, section = place
        rows = np.flatnonzero(clips.of(machine, section))
        kind = np.where(clips.split == "train", "train", clips.label)[rows]
        points = mapped(evaluation.vectors[rows], kind, clips.domain[rows])
        if points is not None:
            where = f"{machine}, section {section}" if section else machine
            svg = embedding(points, f"map{number}", f"Embeddings of {where}")
            yield Plate(svg, where, machine)


def _places(
    evaluation: Evaluation, wanted: Sequence[str] | None
) -> Iterable[tuple[str, str]]:
    types = evaluation.summary.types
    if wanted is None:
        return [(machine, "") for machine in types]
    known = {machine: (machine, "") for machine in types}
    for row in evaluation.summary.sections:
        known[f"{row.machine}/{row.section}"] = (row.machine, row.section)
    for name in wanted:
        if name not in known:
            raise ConfigError(
                f"--map {name}: the evaluation has no such machine or section; "
                f"give one of {', '.join(known)}"
            )
    return [known[name] for name in wanted]


def training(history: History) -> Iterator[Plate]:
    """Plot loss, accuracy and rate over the steps."""
    for quantity in CURVES:
        some = history.curves[quantity]
        if some:
            svg = curves(some, quantity, f"train-{quantity}", f"Training: {quantity}")
            keys = tuple(
                Key(f"c{number % COLOURS}", curve.machine)
                for number, curve in enumerate(some)
                if curve.machine
            )
            yield Plate(svg, quantity.capitalize(), keys=keys)
