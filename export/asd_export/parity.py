"""Measure how far each model file is from the trained network."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asd_agent.inference.embedder import Embedder, ModelFile
from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.pooling import Pool, PoolingSpec
from asd_export.structure import Structure

Array = NDArray[np.float32]
TIMED_RUNS = 30
"""Runs of one unit whose median is given as the time"""
BATCH = 16
"""Units that the trained network embeds at a time"""


@dataclass(frozen=True, slots=True)
class Parity:
    """One model file against the trained network in float32."""

    model: ModelFile
    library: str
    """Library and version that ran it"""
    kilobytes: float
    """Size of the file, thousands of bytes"""
    cosine_mean: float
    """Mean cosine of an embedding with the trained network's"""
    cosine_min: float
    """Smallest such cosine"""
    rank: float
    """Spearman's correlation of the windows' scores; NaN: nothing to rank"""
    unit_ms: float
    """Milliseconds for one unit on one core of this machine, median"""
    structure: Structure | None
    """What runs in int8; None for a float32 file"""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Sound that neither training nor calibration has seen."""

    units: Array
    """Normalised features, shape ``(n, bands, unit_frames)``"""
    clips: NDArray[np.int64]
    """Recording that each unit is part of, shape ``(n,)``"""


def embed_reference(network: nn.Module, units: Array) -> Array:
    """Embed units with the trained network, shape ``(n, size)``."""
    parts = []
    with torch.no_grad():
        for start in range(0, len(units), BATCH):
            batch = torch.from_numpy(units[start : start + BATCH, None])
            parts.append(network(batch).numpy())
    return np.concatenate(parts).astype(np.float32)


def embed_all(embedder: Embedder, units: Array) -> Array:
    """Embed units as a device does, shape ``(n, size)``."""
    return np.stack([embedder.embed(unit) for unit in units])


def cosines(a: Array, b: Array) -> NDArray[np.float64]:
    """Cosine of each row of `a` with the same row of `b`."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a64, axis=1) * np.linalg.norm(b64, axis=1)
    result: NDArray[np.float64] = (a64 * b64).sum(axis=1) / np.maximum(norms, 1e-12)
    return result


def window_scores(
    bank: Array, queries: Array, clips: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Score each clip's pooled embedding against a bank of single units.

    Parameters
    ----------
    bank : array, shape ``(m, size)``
        Embeddings of calibration units, each a window of its own.
    queries : array, shape ``(n, size)``
    clips : array, shape ``(n,)``

    Returns
    -------
    array, shape ``(clips,)``
        In ascending order of clip.
    """
    detector = KnnBank().fit(np.stack([_pooled(unit[None]) for unit in bank]))
    return np.array(
        [detector.score(_pooled(queries[clips == clip])) for clip in np.unique(clips)]
    )


def _pooled(embeddings: Array) -> Array:
    pool = Pool(PoolingSpec(units=len(embeddings)), embeddings.shape[1])
    for embedding in embeddings:
        pool.push(embedding)
    return pool.vector()


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; ties share their mean rank, NaN if all tie."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    ranks: NDArray[np.float64] = mean_ranks[inverse]
    return ranks


@dataclass(frozen=True, slots=True)
class Reference:
    """What the trained network makes of the sound that files are compared on."""

    calibration: Array
    """Units of the bank, shape ``(m, bands, unit_frames)``"""
    held_out: HeldOut
    embeddings: Array
    """The network's embeddings of the held-out units, shape ``(n, size)``"""
    scores: NDArray[np.float64]
    """The network's scores of the held-out clips"""

    @classmethod
    def of(
        cls, network: nn.Module, calibration: Array, held_out: HeldOut
    ) -> "Reference":
        """Run the trained network once."""
        bank = embed_reference(network, calibration)
        embeddings = embed_reference(network, held_out.units)
        scores = window_scores(bank, embeddings, held_out.clips)
        return cls(calibration, held_out, embeddings, scores)

    def compare(
        self, embedder: Embedder, content: bytes, structure: Structure | None
    ) -> Parity:
        """Measure one file, run as a device runs it."""
        bank = embed_all(embedder, self.calibration)
        embeddings = embed_all(embedder, self.held_out.units)
        agreement = cosines(embeddings, self.embeddings)
        scores = window_scores(bank, embeddings, self.held_out.clips)
        return Parity(
            model=embedder.model,
            library=embedder.library,
            kilobytes=len(content) / 1000,
            cosine_mean=float(agreement.mean()),
            cosine_min=float(agreement.min()),
            rank=rank_correlation(scores, self.scores),
            unit_ms=_unit_ms(embedder, self.held_out.units[0]),
            structure=structure,
        )


def _unit_ms(embedder: Embedder, unit: Array) -> float:
    times_s = []
    for _ in range(TIMED_RUNS):
        start_s = time.perf_counter()
        embedder.embed(unit)
        times_s.append(time.perf_counter() - start_s)
    return float(np.median(times_s)) * 1000


HEADER = (
    f"{'file':20} {'runtime':22} {'kB':>6} {'cosine':>8} {'min':>8} "
    f"{'rank':>7} {'ms':>7} {'float convs':>12} {'islands':>8}"
)


def table(rows: Sequence[Parity]) -> str:
    """Lay out parity for the terminal."""
    lines = [HEADER]
    for row in rows:
        found = row.structure
        convs = f"{found.float_convs} of {found.convs}" if found else "all"
        islands = str(found.islands) if found else "-"
        lines.append(
            f"{row.model.file:20} {row.library:22} {row.kilobytes:6.0f} "
            f"{row.cosine_mean:8.6f} {row.cosine_min:8.6f} {row.rank:7.4f} "
            f"{row.unit_ms:7.2f} {convs:>12} {islands:>8}"
        )
    return "\n".join(lines)
