"""What every runtime offers, and the data that names a model file."""

from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

RuntimeName = Literal["onnx", "tflite"]
Precision = Literal["int8", "float32"]


class ModelFile(BaseModel):
    """One model file of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Name of a file of the bundle"""
    runtime: RuntimeName
    precision: Precision


class EmbedderSpec(BaseModel):
    """A network as the manifest describes it: one function, several files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(ge=1, le=65_536)
    """Values in one embedding"""
    models: tuple[ModelFile, ...] = Field(min_length=1)
    """The same network for several runtimes; the first that can run is taken"""


class Embedder(Protocol):
    """Turns one unit into one embedding."""

    model: ModelFile
    """The file that runs: bank and calibration hold for it alone"""
    library: str
    """Library and version that run it, such as ``onnxruntime 1.31.1``"""

    def embed(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed one unit.

        Parameters
        ----------
        unit : array, shape ``(bands, unit_frames)``, float32

        Returns
        -------
        array, shape ``(size,)``, float32
            Not normalised.
        """
        ...
