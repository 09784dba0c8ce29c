"""Scores of one section: normal and anomalous clips of each domain."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_train.report.clips import Numbers
from asd_train.report.figures.canvas import ANOMALY, NORMAL, ROLE, Canvas

_BINS = 28


@dataclass(frozen=True, slots=True)
class DomainScores:
    """Test scores of one domain."""

    domain: str
    normal: Numbers
    """Shape ``(clips,)``, at least one here or in `anomalous`"""
    anomalous: Numbers
    """Shape ``(clips,)``"""
    threshold: float | None
    """Score above which a clip is called anomalous"""


def histogram(domains: Sequence[DomainScores], name: str, title: str) -> str:
    """Draw a panel for each domain, all over the same scores.

    The outermost two in a hundred of the scores are counted in the last bins, so
    that one wild clip does not press all others together.
    """
    height = 50 + 105 * len(domains)
    canvas = Canvas(260, height, len(domains), (46, 36, 10, 16))
    pooled = [np.concatenate([d.normal, d.anomalous]) for d in domains]
    marks = [d.threshold for d in domains if d.threshold is not None]
    low, high = np.percentile(np.concatenate(pooled), [0.5, 98.5])
    low, high = min([low, *marks]), max([high, *marks])
    room = (high - low) * 0.04 or abs(high) * 0.04 or 1.0
    edges = np.linspace(low - room, high + room, _BINS + 1)
    for panel, one in zip(canvas.panels, domains, strict=True):
        kinds = ((one.normal, NORMAL, 1.0), (one.anomalous, ANOMALY, 1.8))
        for scores, colour, width in kinds:
            if not len(scores):
                continue
            inside = np.clip(scores, edges[0], edges[-1])
            share = np.histogram(inside, edges)[0] / len(scores) * 100
            panel.stairs(share, edges, fill=True, color=colour, alpha=0.35)
            panel.stairs(share, edges, color=colour, linewidth=width)
        if one.threshold is not None:
            line = {"color": ROLE["ink"], "linewidth": 1.2, "linestyle": (0, (4, 2))}
            panel.axvline(one.threshold, **line)  # type: ignore[arg-type]
        panel.set_ylim(bottom=0)
        panel.set_ylabel("clips, %")
        if len(domains) > 1:
            panel.set_title(one.domain, loc="right", pad=2, color=ROLE["ink"])
        panel.locator_params(axis="y", nbins=3)
    canvas.panels[-1].set_xlabel("score")
    canvas.panels[-1].set_xlim(edges[0], edges[-1])
    canvas.panels[-1].locator_params(axis="x", nbins=5)
    return canvas.svg(name, title, " ".join(map(_words, domains)))


def _words(one: DomainScores) -> str:
    parts = [
        f"{len(scores)} {label} clips, median score {np.median(scores):.3g}"
        for label, scores in (("normal", one.normal), ("anomalous", one.anomalous))
        if len(scores)
    ]
    mark = "none" if one.threshold is None else f"{one.threshold:.3g}"
    return f"{one.domain}: {'; '.join(parts)}; threshold {mark}."
