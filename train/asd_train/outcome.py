"""What a run leaves when it has come to its end: weights, and units to check with."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asd_agent.features import FeatureSpec
from asd_train.augment import AugmentSpec
from asd_train.checkpoint import Learner
from asd_train.dataset import CALIBRATION_UNITS, Dataset
from asd_train.run import RunInfo, write_info, write_tensors

QUIETEST_DB = -40.0
"""Level of the quietest calibration units below that of the recordings, decibel"""


def finish(
    learner: Learner,
    info: RunInfo,
    dataset: Dataset,
    metrics: dict[str, float],
    folder: Path,
) -> None:
    """Write the weights and all that the exporter needs beside them."""
    write_tensors(folder / "model.safetensors", learner.network.state_dict())
    sampler = dataset.sampler(info.features, AugmentSpec(), info.seed + 1)
    batch = sampler.batch(0, CALIBRATION_UNITS)
    held = {
        key: torch.from_numpy(value)
        for key, value in dataset.heldout_units(info.features).items()
    }
    audio = torch.from_numpy(dataset.golden_audio(info.features))
    write_tensors(
        folder / "calibration.safetensors",
        {
            "units": torch.from_numpy(softer(info.features, batch.units[:, 0])),
            "labels": torch.from_numpy(batch.labels),
        },
    )
    write_tensors(folder / "heldout.safetensors", held)
    write_tensors(folder / "golden.safetensors", {"audio": audio})
    metrics = metrics | heldout_accuracy(learner, held)
    # Last: that steps are told says that the run is whole.
    write_info(
        folder, info.model_copy(update={"steps": learner.step, "metrics": metrics})
    )


def softer(spec: FeatureSpec, units: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lower the level of every second unit, the last by `QUIETEST_DB`.

    A microphone on site can be far less sensitive than that of the recordings, and
    int8 cuts off what lies beyond the range of its calibration units.

    Parameters
    ----------
    spec : FeatureSpec
    units : array, shape ``(n, bands, frames)``
        Normalised decibel.
    """
    gains = np.zeros(len(units), np.float32)
    gains[1::2] = np.linspace(0, QUIETEST_DB, len(gains[1::2]))
    # A gain is a shift in decibel, in each band by its own deviation.
    std_db = np.array(spec.std_db or np.ones(spec.bands), np.float32)
    moved: NDArray[np.float32] = units + gains[:, None, None] / std_db[:, None]
    return moved


def heldout_accuracy(learner: Learner, held: dict[str, Tensor]) -> dict[str, float]:
    """Part of the normal held-out units that are put into their class."""
    asked = (held["anomaly"] == 0) & (held["labels"] >= 0)
    if not asked.any():
        return {}
    learner.network.eval()
    learner.head.eval()
    with torch.inference_mode():
        chunks = torch.split(held["units"][asked].unsqueeze(1), 32)
        scores = [
            learner.head(learner.network(c.to(learner.device))).cpu() for c in chunks
        ]
    right = torch.cat(scores).argmax(1) == held["labels"][asked]
    return {"heldout_accuracy": round(right.float().mean().item(), 4)}
