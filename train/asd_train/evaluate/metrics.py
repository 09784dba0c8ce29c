"""Figures of merit of scores, where anomalies are 1 and higher is more anomalous."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Scores = NDArray[np.float64]
Truth = NDArray[np.bool_]

MAX_FPR = 0.1
"""False-positive rate up to which the partial AUC counts"""
FLOOR = sys.float_info.epsilon
"""Least value that enters a harmonic mean, as in the challenge's evaluators"""


@dataclass(frozen=True, slots=True)
class Decided:
    """How good decisions are."""

    precision: float
    """Share of those called anomalous that are; 0 if none is called so"""
    recall: float
    """Share of the anomalous that are called so"""
    f1: float
    """Harmonic mean of both"""


def auc(truth: Truth, scores: Scores) -> float | None:
    """Area under the ROC curve; None without clips of both kinds."""
    if not has_both(truth):
        return None
    return float(roc_auc_score(truth, scores))


def partial_auc(truth: Truth, scores: Scores) -> float | None:
    """Area up to a false-positive rate of 0.1, standardised; None as for `auc`.

    0.5 is chance, 1 perfect (McClish, "Analyzing a portion of the ROC curve",
    Medical Decision Making 9, 1989), which is how the challenge has it.
    """
    if not has_both(truth):
        return None
    return float(roc_auc_score(truth, scores, max_fpr=MAX_FPR))


def decided(truth: Truth, called: Truth) -> Decided | None:
    """Precision, recall and F1 of decisions; None without clips of both kinds."""
    if not has_both(truth):
        return None
    hits = int((truth & called).sum())
    precision = hits / max(int(called.sum()), 1)
    recall = hits / int(truth.sum())
    f1 = 2 * hits / (int(called.sum()) + int(truth.sum()))
    return Decided(precision, recall, f1)


def f1_ev(truth: Truth, scores: Scores) -> float | None:
    """Mean F1 over all decision thresholds from the least score to the highest.

    It is large where many thresholds, and so the one that is estimated without
    anomalies, are good. Unlike AUC it changes with the scale of the scores.
    Source: Wilkinghoff and Imoto, "F1-EV score: measuring the likelihood of
    estimating a good decision threshold for semi-supervised anomaly detection",
    ICASSP 2024 (arXiv:2312.09143); the one without bounds.

    Returns
    -------
    float or None
        None without clips of both kinds or if all scores are the same.
    """
    steps = np.unique(scores)
    if not has_both(truth) or len(steps) < 2:
        return None
    # Between two scores the decisions, and so F1, stay as they are.
    anomalous, normal = np.sort(scores[truth]), np.sort(scores[~truth])
    hits = len(anomalous) - np.searchsorted(anomalous, steps[:-1], side="right")
    alarms = len(normal) - np.searchsorted(normal, steps[:-1], side="right")
    f1 = 2 * hits / (hits + alarms + len(anomalous))
    return float((f1 * np.diff(steps)).sum() / (steps[-1] - steps[0]))


def has_both(truth: Truth) -> bool:
    """Whether there are normal and anomalous clips."""
    return bool(truth.any() and not truth.all())


def harmonic(values: Sequence[Scores] | Scores) -> Scores:
    """Harmonic mean over the first axis; values below the float's epsilon are it."""
    floored = np.maximum(np.asarray(values, np.float64), FLOOR)
    mean: Scores = len(floored) / (1 / floored).sum(axis=0)
    return mean


def arithmetic(values: Sequence[Scores] | Scores) -> Scores:
    """Arithmetic mean over the first axis."""
    mean: Scores = np.asarray(values, np.float64).mean(axis=0)
    return mean
