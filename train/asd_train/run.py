"""A run: the folder that training leaves and the exporter reads."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import load_file
from torch import Tensor, nn

from asd_agent.errors import AsdError
from asd_agent.features import FeatureSpec
from asd_train.models import NetworkSpec, build_network
from asd_train.recipe import Recipe, parse
from asd_train.scoring_spec import ScoringSpec


class RunError(AsdError):
    """A run's folder is missing something, or not what it says."""

    exit_code = 7


class RunInfo(BaseModel):
    """Contents of ``run.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    classes: tuple[str, ...]
    """Names of the classes; a label is an index into them"""
    network: NetworkSpec
    features: FeatureSpec
    """With the normalisation of the training units"""
    licence: str
    seed: int
    revision: str
    """Revision of this software in git; ``unknown`` outside a checkout"""
    data: dict[str, str | int | float]
    """What it was trained on"""
    steps: int
    """Batches learnt so far"""
    metrics: dict[str, float]
    """The last ones"""
    init: str = ""
    """Run that it began from; empty: fresh weights"""


@dataclass(frozen=True, slots=True)
class Heldout:
    """Units that were not trained on."""

    units: NDArray[np.float32]
    """Normalised, shape ``(n, bands, frames)``; in order within a clip"""
    labels: NDArray[np.int64]
    """Class of each; -1 where the clip's name fits no class"""
    anomaly: NDArray[np.int64]
    """1 where the clip is called anomalous, else 0"""
    clip: NDArray[np.int64]
    """Number of the clip that each comes from"""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that after a power cut there is the old one or the new one."""
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors atomically; each is copied into plain row-major order."""
    plain = {
        key: t.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)
        for key, t in tensors.items()
    }
    write_atomic(path, safetensors.torch.save(plain))


def write_info(folder: Path, info: RunInfo) -> None:
    """Write ``run.json``."""
    text = info.model_dump_json(indent=1)
    write_atomic(folder / "run.json", text.encode() + b"\n")


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, opened for reading."""

    path: Path
    recipe: Recipe
    info: RunInfo

    @classmethod
    def open(cls, path: Path) -> "Run":
        """Open a folder that `asd-train fit` wrote.

        Raises
        ------
        RunError
            It is not there, not a run, or of another version.
        """
        text = _read(path, "run.json")
        recipe = parse(_read(path, "recipe.yaml"), str(path / "recipe.yaml"))
        try:
            info = RunInfo.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise RunError(f"{path / 'run.json'}: {key}: {first['msg']}") from error
        if info.format != 1:
            raise RunError(
                f"{path / 'run.json'} has format {info.format}; this software reads 1"
            )
        return cls(path, recipe, info)

    @property
    def scoring(self) -> ScoringSpec:
        """How clips are scored; an old recipe without a word of it has the default."""
        return self.recipe.scoring

    @property
    def complete(self) -> bool:
        """Whether it has come to its end: the number of steps is written last."""
        return self.info.steps > 0 and (self.path / "model.safetensors").is_file()

    def network(self) -> nn.Module:
        """Build the network with its weights, in evaluation mode.

        Raises
        ------
        RunError
            The weights are missing or of another network.
        """
        network = build_network(self.info.network, self.info.features.unit_shape)
        tensors = {
            key: torch.from_numpy(value)
            for key, value in self._tensors("model.safetensors").items()
        }
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            raise RunError(
                f"{self.path / 'model.safetensors'} does not fit "
                f"{self.info.network.name} of run.json: {error}"
            ) from error
        return network.eval()

    def calibration(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Normalised training units ``(n, bands, frames)`` and their classes."""
        found = self._tensors("calibration.safetensors", "units", "labels")
        return found["units"], found["labels"]

    def heldout(self) -> Heldout:
        """Units that were not trained on."""
        keys = ("units", "labels", "anomaly", "clip")
        found = self._tensors("heldout.safetensors", *keys)
        return Heldout(*(found[key] for key in keys))

    def golden_audio(self) -> NDArray[np.int16]:
        """Clips that span the training sound, shape ``(clips, samples)``.

        Raises
        ------
        RunError
            They are not there, or of another form.
        """
        audio = self._tensors("golden.safetensors", "audio")["audio"]
        if audio.ndim != 2 or audio.dtype != np.int16:
            raise RunError(
                f"{self.path / 'golden.safetensors'}: audio is {audio.dtype} of shape "
                f"{audio.shape}, expected int16 of (clips, samples): the run is of an "
                "older version of this software. Train it again"
            )
        return audio

    def _tensors(self, name: str, *keys: str) -> dict[str, NDArray[Any]]:
        path = self.path / name
        if not path.is_file():
            raise RunError(f"{path} is missing: has asd-train fit come to its end?")
        try:
            tensors: dict[str, NDArray[Any]] = load_file(path)
        except safetensors.SafetensorError as error:
            raise RunError(f"{path} is not a safetensors file: {error}") from error
        for key in keys:
            if key not in tensors:
                raise RunError(f"{path} has no tensor {key!r}")
        return tensors


def _read(path: Path, name: str) -> str:
    try:
        return (path / name).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RunError(
            f"{path} is not a run: it has no {name}. "
            "Give the folder after -o of asd-train fit"
        ) from error
