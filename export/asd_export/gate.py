"""Refuse a model file that no longer is the network that was trained."""

import math
from collections.abc import Sequence

from asd_agent.errors import BundleError
from asd_export.parity import Parity

MIN_COSINE_MEAN = 0.97
"""int8 of all networks lies above 0.99 (docs/export.md): below this something
broke, such as a range set by the wrong units"""
MIN_RANK = 0.99
"""An embedding may turn a little without harm, but the order of the scores
decides what is found: cosine alone does not see it"""
MAX_AUC_LOSS = 0.005
"""Half a point of what the evaluation counts"""


def check(rows: Sequence[Parity], hurting: str = "") -> None:
    """Pass all files or name every fault.

    Parameters
    ----------
    rows
        The files of the bundle.
    hurting
        Lines that name the layers which lose the most; empty: not known.

    Raises
    ------
    BundleError
        A file is too far from the trained network, or an int8 file computes
        convolutions in float or leaves the int8 path on its way.
    """
    faults = [fault for row in rows for fault in _faults(row)]
    if not faults:
        return
    layers = (
        f"\nWhat hurts most, by `asd-export analyse`:\n{hurting}" if hurting else ""
    )
    raise BundleError(
        "no bundle was written:\n  "
        + "\n  ".join(faults)
        + layers
        + "\nFine-tune for int8 with --qat, or with more of its steps, try another "
        "--calibration, train further or with more varied sound, or leave "
        "int8 out with --files onnx-float32"
    )


def passes(row: Parity) -> bool:
    """Whether a file may go into a bundle."""
    return not _faults(row)


def keeps_scores(row: Parity) -> bool:
    """Whether its embeddings and scores are those of the trained network."""
    return not _score_faults(row)


def merit(row: Parity) -> tuple[bool, float, float, float]:
    """Order files by how well they hold the scores: rank, then AUC, then cosine.

    Ranks are compared to three digits: what lies beyond is chance.
    """
    agreed = row.agreement
    rank = -1.0 if math.isnan(agreed.rank) else agreed.rank
    return (
        passes(row),
        round(rank, 3),
        -round(max(agreed.auc_loss or 0.0, 0.0), 4),
        agreed.cosine_mean,
    )


def _faults(row: Parity) -> list[str]:
    faults = _score_faults(row)
    found = row.structure
    if found and not found.fast_int8:
        faults.append(
            f"{row.model.file}: {found.float_convs} of {found.convs} convolutions run "
            f"in float32 and {found.islands} operators leave the int8 path; int8 "
            "would be slower than float32"
        )
    return faults


def _score_faults(row: Parity) -> list[str]:
    file, agreed = row.model.file, row.agreement
    faults = []
    if not agreed.cosine_mean >= MIN_COSINE_MEAN:  # NaN fails too
        faults.append(
            f"{file}: mean cosine with the trained network is "
            f"{agreed.cosine_mean:.4f}, at least {MIN_COSINE_MEAN} required"
        )
    if math.isnan(agreed.rank):
        faults.append(
            f"{file}: all held-out windows have the same score, so there is no order "
            "to compare: the network has not learnt, or there is only one clip"
        )
    elif agreed.rank < MIN_RANK:
        faults.append(
            f"{file}: rank correlation of scores with the trained network is "
            f"{agreed.rank:.4f}, at least {MIN_RANK} required"
        )
    if agreed.auc_loss is not None and not agreed.auc_loss <= MAX_AUC_LOSS:
        faults.append(
            f"{file}: the AUC is {agreed.auc_loss:.4f} lower than the trained "
            f"network's, at most {MAX_AUC_LOSS} allowed"
        )
    return faults
