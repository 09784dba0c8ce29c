"""Refuse a model file that no longer is the network that was trained."""

import math
from collections.abc import Sequence

from asd_agent.errors import BundleError
from asd_export.parity import Parity

MIN_COSINE_MEAN = 0.97
"""int8 of both networks lies above 0.99 (docs/export.md): below this something
broke, such as a range set by the wrong units"""
MIN_RANK = 0.9
"""An embedding may turn a little without harm, but the order of the scores
decides what is found: cosine alone does not see it"""


def check(rows: Sequence[Parity]) -> None:
    """Pass all files or name every fault.

    Raises
    ------
    BundleError
        A file is too far from the trained network, or an int8 file computes
        convolutions in float or leaves the int8 path on its way.
    """
    faults = [fault for row in rows for fault in _faults(row)]
    if faults:
        raise BundleError(
            "no bundle was written:\n  "
            + "\n  ".join(faults)
            + "\nTrain further, give the run more varied calibration sound, or "
            "leave the file out with --files"
        )


def _faults(row: Parity) -> list[str]:
    file = row.model.file
    faults = []
    if not row.cosine_mean >= MIN_COSINE_MEAN:  # NaN fails too
        faults.append(
            f"{file}: mean cosine with the trained network is {row.cosine_mean:.4f}, "
            f"at least {MIN_COSINE_MEAN} required"
        )
    if math.isnan(row.rank):
        faults.append(
            f"{file}: all held-out windows have the same score, so there is no order "
            "to compare: the network has not learnt, or there is only one clip"
        )
    elif row.rank < MIN_RANK:
        faults.append(
            f"{file}: rank correlation of scores with the trained network is "
            f"{row.rank:.4f}, at least {MIN_RANK} required"
        )
    found = row.structure
    if found and not found.fast_int8:
        faults.append(
            f"{file}: {found.float_convs} of {found.convs} convolutions run in "
            f"float32 and {found.islands} operators leave the int8 path; int8 "
            "would be slower than float32"
        )
    return faults
