"""How well classes could be told apart with all labels: ``python -m bench.ceiling``.

A linear discriminant that is shown every class, anomalies too, cross-validated in ten
parts. No detector that learns from normal sound alone can be expected to do better on
the same features: it is what limits `bench.motors`, not a rival.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.recordings import clips_of, statistics

BANDS = (8, 24, 64)
PARTS = 10


def ceiling(
    spectra: NDArray[np.float64], labels: NDArray[np.str_]
) -> dict[str, tuple[float, float]]:
    """AUC and partial AUC of each class against all others, the labels being known."""
    model = make_pipeline(
        StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    )
    parts = StratifiedKFold(PARTS, shuffle=True, random_state=0)
    found = cross_val_predict(model, spectra, labels, cv=parts, method="predict_proba")
    return {
        name: (
            float(roc_auc_score(labels == name, column)),
            float(roc_auc_score(labels == name, column, max_fpr=0.1)),
        )
        for name, column in zip(sorted(set(labels.tolist())), found.T, strict=True)
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.ceiling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="with labels.csv")
    parser.add_argument("--set", default="motors", help="default: %(default)s")
    args = parser.parse_args(argv)
    clips = clips_of(args.data, args.set)
    labels = np.array([clip.label for clip in clips])
    heads = sorted(set(labels.tolist()))
    print(f"| labels known, AUC / partial AUC | {' | '.join(heads)} | mean |")
    print(f"|---|{'---|' * (len(heads) + 1)}")
    for bands in BANDS:
        spectra = np.array([statistics(clip, bands) for clip in clips])
        found = ceiling(spectra, labels)
        cells = [f"{auc:.3f} / {part:.3f}" for auc, part in found.values()]
        auc, part = np.mean(list(found.values()), axis=0)
        print(f"| {bands} bands | {' | '.join(cells)} | {auc:.3f} / {part:.3f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
