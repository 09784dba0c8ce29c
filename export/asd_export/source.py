"""What the exporter takes from training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from asd_agent.bundle.manifest import MemberSpec
from asd_agent.features import FeatureSpec
from asd_agent.inference.embedder import EmbedderSpec
from asd_agent.scoring.combine import Combine
from asd_agent.scoring.pooling import PoolingSpec
from asd_export.parity import HeldOut
from asd_train.run import Run, RunError
from asd_train.scoring_spec import ScorerSpec

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Source:
    """A trained network and the sound that belongs to it."""

    name: str
    """Name of the network, such as ``mobilefacenet``"""
    network: nn.Module
    """In eval mode, ``(B, 1, bands, unit_frames)`` to ``(B, size)``"""
    features: FeatureSpec
    """Front end with its normalisation"""
    calibration: Array
    """Normalised units that set int8 ranges, ``(n, bands, unit_frames)``"""
    held_out: HeldOut
    """Units that parity is measured on"""
    golden_audio: NDArray[np.int16]
    """Clips at the rate of `features`, shape ``(clips, samples)``"""
    labels: tuple[str, ...]
    """Classes that the network was trained to tell apart"""
    training: dict[str, str | int | float]
    """Where the weights come from"""
    licence: str
    """Licence of the weights"""
    scorers: tuple[ScorerSpec, ...] = (ScorerSpec(),)
    """What becomes a member each, with its detector of a bank of all sound"""
    combine: Combine = "min_p"
    """How the members become one score"""

    def member_name(self, scorer: ScorerSpec) -> str:
        """Name of a member: the network's own, unless the recipe names it."""
        return self.name if scorer.name == "network" else scorer.name

    @property
    def poolings(self) -> tuple[PoolingSpec, ...]:
        """Every way in which the members make a window of the network's units."""
        found = dict.fromkeys(one.pooling for one in self.scorers if one.network)
        return tuple(found) or (PoolingSpec(),)

    def members(self, spec: EmbedderSpec) -> tuple[MemberSpec, ...]:
        """Members of the bundle, those with a network by `spec`."""
        return tuple(
            MemberSpec(
                name=self.member_name(scorer),
                features=self.features,
                embedder=spec if scorer.network else None,
                groups=scorer.groups,
                pooling=scorer.pooling,
                # A device has one bank, of all that it learnt.
                detector=scorer.of_all,
            )
            for scorer in self.scorers
        )


def open_run(path: Path) -> Run:
    """Open a run; of a folder of runs, say which there are.

    Raises
    ------
    RunError
        The folder is no run, or one that holds several.
    """
    inner = sorted(file.parent.name for file in path.glob("*/run.json"))
    if inner and not (path / "run.json").exists():
        raise RunError(
            f"{path} holds runs of {', '.join(inner)}: build one of them, such as "
            f"{path / inner[0]}"
        )
    return Run.open(path)


def from_run(path: Path, licence: str | None = None) -> Source:
    """Read the folder that ``asd-train fit`` left.

    Parameters
    ----------
    path
        The run.
    licence
        Licence of the weights; None: what the run says.

    Raises
    ------
    RunError
        The folder is no run, not a whole one, or one that holds several.
    """
    run = open_run(path)
    info = run.info
    heldout = run.heldout()
    machine = run.recipe.machines[0] if len(run.recipe.machines) == 1 else ""
    return Source(
        name=info.network.name,
        network=run.network(),
        features=info.features,
        calibration=run.calibration()[0],
        held_out=HeldOut(heldout.units, heldout.clip, heldout.anomaly),
        golden_audio=run.golden_audio(),
        labels=info.classes,
        training={
            "recipe": run.recipe.name,
            "network": f"{info.network.name} {info.network.activation}",
            "seed": info.seed,
            "revision": info.revision,
            "steps": info.steps,
            **{f"data.{key}": value for key, value in info.data.items()},
            **{f"metric.{key}": value for key, value in info.metrics.items()},
        },
        licence=licence or info.licence,
        scorers=run.recipe.scoring.of(machine),
        combine=run.recipe.scoring.combine,
    )
