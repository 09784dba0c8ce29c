"""Measure how far each model file is from the trained network."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from asd_agent.inference.embedder import Embedder, ModelFile
from asd_agent.scoring.pooling import PoolingSpec
from asd_export.scores import auc, rank_correlation, window_scores, windows
from asd_export.structure import Structure

Array = NDArray[np.float32]
TIMED_RUNS = 30
"""Runs of one unit whose median is given as the time"""
BATCH = 16
"""Units that the trained network embeds at a time"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Embeddings and scores against those of the trained network in float32."""

    cosine_mean: float
    """Mean cosine of an embedding with the trained network's"""
    cosine_min: float
    """Smallest such cosine"""
    rank: float
    """Spearman's correlation of the windows' scores; NaN: nothing to rank. With
    several ways to pool, the smallest"""
    auc_loss: float | None
    """AUC of the trained network less this one; None: no anomalies to ask. With
    several ways to pool, the largest"""


@dataclass(frozen=True, slots=True)
class Parity:
    """One model file, run as a device runs it."""

    model: ModelFile
    library: str
    """Library and version that ran it"""
    method: str
    """How the ranges of int8 were set; empty for float32"""
    kilobytes: float
    """Size of the file, thousands of bytes"""
    agreement: Agreement
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
    anomaly: NDArray[np.int64] | None = None
    """1 where the recording is called anomalous, else 0; None: none is"""

    @property
    def normal(self) -> NDArray[np.bool_]:
        """Whether each unit is of a normal recording."""
        if self.anomaly is None:
            return np.ones(len(self.clips), bool)
        normal: NDArray[np.bool_] = self.anomaly == 0
        return normal


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


@dataclass(frozen=True, slots=True)
class Reference:
    """What the trained network makes of the sound that files are compared on."""

    calibration: Array
    """Units of the bank, shape ``(m, bands, unit_frames)``"""
    held_out: HeldOut
    poolings: tuple[PoolingSpec, ...]
    """Ways to make a window of units that the run's members have"""
    bank: Array
    """The network's embeddings of the calibration units, shape ``(m, size)``"""
    embeddings: Array
    """The network's embeddings of the held-out units, shape ``(n, size)``"""

    @classmethod
    def of(
        cls,
        network: nn.Module,
        calibration: Array,
        held_out: HeldOut,
        poolings: tuple[PoolingSpec, ...] = (PoolingSpec(),),
    ) -> "Reference":
        """Run the trained network once."""
        bank = embed_reference(network, calibration)
        embeddings = embed_reference(network, held_out.units)
        return cls(calibration, held_out, poolings, bank, embeddings)

    @property
    def unit_shape(self) -> tuple[int, int]:
        """``(bands, unit_frames)``."""
        return self.calibration.shape[1], self.calibration.shape[2]

    def agreement(self, bank: Array, embeddings: Array) -> Agreement:
        """Compare other embeddings of the same units."""
        held = self.held_out
        anomalous = np.array([not held.normal[w[0]] for w in windows(held.clips)])
        ranks, losses = [], []
        for pooling in self.poolings:
            mine, theirs = (
                window_scores(b, e, held.clips, held.normal, pooling)
                for b, e in ((self.bank, self.embeddings), (bank, embeddings))
            )
            ranks.append(rank_correlation(mine, theirs))
            before, after = auc(mine, anomalous), auc(theirs, anomalous)
            if before is not None and after is not None:
                losses.append(before - after)
        agreed = cosines(embeddings, self.embeddings)
        return Agreement(
            cosine_mean=float(agreed.mean()),
            cosine_min=float(agreed.min()),
            rank=float(np.min(ranks)),  # NaN if one is
            auc_loss=max(losses) if losses else None,
        )

    def compare(
        self,
        embedder: Embedder,
        content: bytes,
        structure: Structure | None,
        method: str = "",
    ) -> Parity:
        """Measure one file, run as a device runs it."""
        all_units = np.concatenate([self.calibration, self.held_out.units])
        title = f"{embedder.model.file} {method}".strip()
        shown = tqdm(all_units, title, unit="unit", leave=False, disable=None)
        embeddings = np.stack([embedder.embed(unit) for unit in shown])
        split = len(self.calibration)
        return Parity(
            model=embedder.model,
            library=embedder.library,
            method=method,
            kilobytes=len(content) / 1000,
            agreement=self.agreement(embeddings[:split], embeddings[split:]),
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
    f"{'file':20} {'runtime':22} {'ranges':16} {'kB':>6} {'cosine':>8} {'min':>8} "
    f"{'rank':>7} {'AUC loss':>8} {'ms':>7} {'float convs':>12} {'islands':>8}"
)


def table(rows: Sequence[Parity]) -> str:
    """Lay out parity for the terminal."""
    return "\n".join([HEADER, *map(_line, rows)])


def _line(row: Parity) -> str:
    found, agreed = row.structure, row.agreement
    convs = f"{found.float_convs} of {found.convs}" if found else "all"
    islands = str(found.islands) if found else "-"
    loss = "-" if agreed.auc_loss is None else f"{agreed.auc_loss:.4f}"
    return (
        f"{row.model.file:20} {row.library:22} {row.method or '-':16} "
        f"{row.kilobytes:6.0f} {agreed.cosine_mean:8.6f} {agreed.cosine_min:8.6f} "
        f"{agreed.rank:7.4f} {loss:>8} {row.unit_ms:7.2f} {convs:>12} {islands:>8}"
    )
