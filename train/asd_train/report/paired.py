"""How sure the difference of two evaluations on the same clips is.

Clips are resampled, within machine, section, domain and label, and both
evaluations see the same replicate: what a clip is hard for both does not blur the
difference. It says what other clips of these machines would change, not what
other machines would.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asd_train.evaluate.metrics import MAX_FPR, has_both
from asd_train.evaluate.protocol import Figures, official, rules
from asd_train.evaluate.resample import REPLICATES, areas, draw, interval
from asd_train.report.clips import Numbers
from asd_train.report.folder import Evaluation
from asd_train.report.summary import Interval

_SEED = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """Of the score of a second evaluation to the first's."""

    value: float
    """On all clips; above 0: the second is better"""
    interval: Interval
    """Central 95 % of the replicates"""
    better: float
    """Part of the replicates in which the second is better, 0 to 1"""


def differences(
    evaluations: Sequence[Evaluation], replicates: int = REPLICATES
) -> list[Difference | None]:
    """Compare each evaluation with the first.

    Returns
    -------
    list
        One entry for each but the first; None where the clips, rows or rules are
        not the same, or there is no official score.
    """
    first, *others = evaluations
    fit = [comparable(first, other) for other in others]
    base = scores(first, replicates) if any(fit) else None
    found: list[Difference | None] = []
    for other, fits in zip(others, fit, strict=True):
        own = scores(other, replicates) if fits else None
        if base is None or own is None:
            found.append(None)
            continue
        drawn = (own - base)[1:]
        better = float(np.mean(drawn > 0) + np.mean(drawn == 0) / 2)
        found.append(Difference(float(own[0] - base[0]), interval(drawn), better))
    return found


def comparable(first: Evaluation, other: Evaluation) -> bool:
    """Whether two evaluations scored the same clips by the same rules."""
    same_rules = first.summary.protocol == other.summary.protocol
    keys = [
        sorted((r.machine, r.section, r.domain) for r in e.summary.sections)
        for e in (first, other)
    ]
    one, two = (np.sort(e.clips.path[e.clips.tested]) for e in (first, other))
    return same_rules and keys[0] == keys[1] and np.array_equal(one, two)


def scores(evaluation: Evaluation, replicates: int) -> Numbers | None:
    """Official score of all clips, and then of each replicate.

    A draw follows from the number of the section and the order of its clips by
    path, so that two evaluations of the same clips get the same one.

    Returns
    -------
    array, shape ``(1 + replicates,)``, or None
        None where there is no official score.
    """
    summary, clips = evaluation.summary, evaluation.clips
    places = sorted({(row.machine, row.section) for row in summary.sections})
    figures = []
    for number, place in enumerate(places):
        mine = np.flatnonzero(clips.of(*place) & clips.tested)
        mine = mine[np.argsort(clips.path[mine])]
        kinds = np.char.add(clips.domain[mine], clips.label[mine])
        strata = np.unique(kinds, return_inverse=True)[1]
        drawn = draw(strata, replicates, np.random.default_rng((_SEED, number)))
        counts = np.concatenate([np.ones((1, len(mine)), np.int64), drawn])
        for row in summary.sections:
            if (row.machine, row.section) != place:
                continue
            chosen = clips.counted(row, summary.protocol)[mine]
            truth = clips.label[mine[chosen]] == "anomaly"
            part = truth, clips.score[mine[chosen]], counts[:, chosen]
            both = has_both(truth)
            auc = areas(*part) if both else None
            pauc = areas(*part, MAX_FPR) if both else None
            figures.append(Figures(*place, row.domain, {"auc": auc, "pauc": pauc}))
    return official(figures, rules(summary.protocol))
