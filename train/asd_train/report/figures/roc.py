"""Receiver operating characteristic of the sections of one machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import roc_curve

from asd_train.evaluate.metrics import MAX_FPR
from asd_train.report.clips import Mask, Numbers
from asd_train.report.figures.canvas import ROLE, SERIES, Canvas

MAX_SECTIONS = 6
"""Curves of more sections in one figure cannot be told apart"""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one row, with the colour and the stroke of its curve."""

    scores: Numbers
    """Shape ``(clips,)``"""
    anomalous: Mask
    """Shape ``(clips,)``"""
    colour: int
    """Place in `SERIES`"""
    dashed: bool


def roc(rows: Sequence[Scored], name: str, title: str) -> str:
    """Draw a curve for each row; rows of one label alone are left out."""
    canvas = Canvas(260, 250)
    (panel,) = canvas.panels
    panel.axvspan(0, MAX_FPR, color=ROLE["shade"], linewidth=0)
    panel.plot([0, 1], [0, 1], color=ROLE["muted"], linewidth=0.8, linestyle=":")
    drawn = [r for r in rows if r.anomalous.any() and not r.anomalous.all()]
    for row in drawn:
        false, true, _ = roc_curve(row.anomalous, row.scores)
        panel.plot(
            false,
            true,
            color=SERIES[row.colour % len(SERIES)],
            linestyle=(0, (3, 1.5)) if row.dashed else "-",
        )
    ticks = [0, 0.1, 0.5, 1]
    panel.set(xlim=(0, 1), ylim=(0, 1.005), xticks=ticks, yticks=[0, 0.5, 1])
    panel.set_xticks(ticks, ["0", ".1", ".5", "1"])
    panel.set_yticks([0, 0.5, 1], ["0", ".5", "1"])
    panel.set(xlabel="false-positive rate", ylabel="true-positive rate")
    text = (
        f"{len(drawn)} curves of the true-positive rate over the false-positive "
        f"rate; the rates up to {MAX_FPR}, which pAUC counts, are shaded. The areas "
        "are in the table of sections."
    )
    return canvas.svg(name, title, text)
