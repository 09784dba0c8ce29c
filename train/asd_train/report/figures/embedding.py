"""A map of embeddings: clips that the network hears as alike lie together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from asd_train.report.clips import Mask, Words
from asd_train.report.figures.canvas import ANOMALY, NORMAL, TRAIN, Canvas

MOST = 500
"""Points of a map: t-SNE takes seconds for so many, and more cannot be told apart"""
_LEAST = 8


@dataclass(frozen=True, slots=True)
class Points:
    """Clips on a map; all arrays have as many rows."""

    place: NDArray[np.float32]
    """Shape ``(points, 2)``, no unit"""
    kind: Words
    """`train`, `normal` or `anomaly`"""
    domain: Words


def mapped(
    vectors: NDArray[np.float32], kind: Words, domain: Words, seed: int = 0
) -> Points | None:
    """Lay out vectors in a plane by t-SNE of their cosine distances.

    Parameters
    ----------
    vectors : array, shape ``(clips, d)``
    kind, domain : array, shape ``(clips,)``
    seed : int
        Of the choice of points where there are too many, and of t-SNE.

    Returns
    -------
    Points or None
        None where there are too few clips for a map.
    """
    usable: Mask = np.asarray(np.isfinite(vectors).all(axis=1))
    rows = thinned(kind, usable, seed)
    if len(rows) < _LEAST:
        return None
    chosen = vectors[rows].astype(np.float64)
    # t-SNE of vectors of length 1 is t-SNE of their cosine distances, and faster.
    length = np.linalg.norm(chosen, axis=1, keepdims=True)
    chosen /= np.where(length > 0, length, 1)
    tsne = TSNE(
        perplexity=min(30.0, (len(rows) - 1) / 3),
        init="random",
        random_state=seed,
        method="barnes_hut",
        n_jobs=1,
    )
    place: NDArray[np.float32] = tsne.fit_transform(chosen)
    return Points(place, kind[rows], domain[rows])


def embedding(points: Points, name: str, title: str) -> str:
    """Draw the map: colour and size are the kind, the shape is the domain."""
    canvas = Canvas(320, 300, margins=(8, 8, 8, 8))
    (panel,) = canvas.panels
    for kind, colour, size in (
        ("train", TRAIN, 14),
        ("normal", NORMAL, 14),
        ("anomaly", ANOMALY, 18),
    ):
        for target, marker in ((False, "o"), (True, "^")):
            mine = (points.kind == kind) & ((points.domain == "target") == target)
            if mine.any():
                x, y = points.place[mine].T
                panel.scatter(
                    x, y, size, color=colour, marker=marker, alpha=0.7, linewidths=0
                )
    panel.set(xticks=[], yticks=[])
    panel.spines[["top", "right"]].set_visible(True)
    kinds, counts = np.unique(points.kind, return_counts=True)
    text = ", ".join(f"{n} {kind}" for kind, n in zip(kinds, counts, strict=True))
    return canvas.svg(name, title, f"{text} clips laid out by t-SNE.")


def thinned(kind: Words, usable: Mask, seed: int) -> NDArray[np.intp]:
    """Choose at most `MOST` usable rows, of the test and of training half each.

    Parameters
    ----------
    kind : array, shape ``(clips,)``
        `train`, or anything else for a test clip.
    usable : array, shape ``(clips,)``, bool
    seed : int
        Of the choice.

    Returns
    -------
    array, shape ``(chosen,)``
        Rows, rising.
    """
    rng = np.random.default_rng(seed)
    tests = rng.permutation(np.flatnonzero(usable & (kind != "train")))[: MOST // 2]
    trains = rng.permutation(np.flatnonzero(usable & (kind == "train")))
    return np.sort(np.concatenate([tests, trains[: MOST - len(tests)]]))
