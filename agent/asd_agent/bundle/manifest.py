"""The manifest of a bundle: what it holds, and the hash of every file."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from asd_agent.errors import BundleError
from asd_agent.features.spec import FeatureSpec
from asd_agent.inference.embedder import EmbedderSpec
from asd_agent.inference.open import RuntimeChoice
from asd_agent.scoring.combine import Combine
from asd_agent.scoring.detector import DetectorSpec
from asd_agent.scoring.explain import GROUPS
from asd_agent.scoring.pooling import PoolingSpec

MAX_MANIFEST_BYTES = 1_048_576
"""Read no more than this before parsing: a manifest is about 50 kB"""
MAX_FILE_BYTES = 268_435_456
"""Largest file that a bundle may list"""
MAX_FILES = 16
"""Most files that a bundle may list"""

FileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
"""Of a file beside the manifest: no path, so that nothing is read elsewhere"""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Model):
    """Size and hash of one file beside the manifest."""

    bytes: int = Field(ge=0, le=MAX_FILE_BYTES)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class MemberSpec(_Model):
    """One way to score a window: front end, network or none, pooling, detector."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    features: FeatureSpec
    embedder: EmbedderSpec | None
    """None: mean and deviation of the levels in groups of bands stand for the
    embedding of a unit, decibel"""
    groups: int = Field(GROUPS, ge=2, le=256)
    """Groups of bands at most, where there is no network"""
    pooling: PoolingSpec
    detector: DetectorSpec


class FileTolerance(_Model):
    """How closely a device must repeat the numbers of one model file."""

    cosine: float = Field(0.995, gt=0, le=1)
    """Smallest cosine of an embedding with the expected one"""
    score: float = Field(0.02, gt=0)
    """Largest absolute difference of a cosine distance, from 1 up as a share"""
    p_value: float = Field(0.2, gt=0, le=1)
    """Largest difference of a p-value, as a share of it"""


class FileParity(_Model):
    """A model file against the trained network, as its builder measured it."""

    library: str
    """Library and version that ran it"""
    method: str
    """How the ranges of int8 were set; empty for float32"""
    cosine_mean: float
    cosine_min: float
    rank: float
    """Spearman's correlation of window scores with the trained network's"""
    auc_loss: float | None
    """AUC of the trained network less that of the file; None: no anomalies to ask"""


class GoldenSpec(_Model):
    """How closely a device must repeat the numbers of ``golden.safetensors``."""

    features: float = Field(1e-3, gt=0)
    """Largest absolute difference of a normalised feature"""
    cosine: float = Field(0.995, gt=0, le=1)
    """Smallest cosine of an embedding with the expected one"""
    score: float = Field(0.02, gt=0)
    """Largest difference of a score; of scores above 1 as a share"""
    p_value: float = Field(0.2, gt=0, le=1)
    """Largest difference of a p-value, as a share of it"""
    vector: float = Field(0.01, gt=0)
    """Largest absolute difference of a unit's vector without a network, decibel"""
    files: dict[FileName, FileTolerance] = Field({}, max_length=MAX_FILES)
    """Tolerances of single model files; of others `cosine`, `score`, `p_value` hold"""


class Manifest(_Model):
    """Contents of ``manifest.json``."""

    schema_version: Literal[1] = 1
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: int = Field(ge=1)
    """Rises with every release for a device class"""
    device_class: str = Field("any", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    created: datetime
    members: tuple[MemberSpec, ...] = Field(min_length=1, max_length=8)
    combine: Combine = "min_p"
    """How the p-values of several members become one score"""
    golden: GoldenSpec = GoldenSpec()
    runtime: RuntimeChoice = "auto"
    """Runtime that the builder wants; `auto`: the first model that can run"""
    parity: dict[FileName, FileParity] = Field({}, max_length=MAX_FILES)
    """How well each model file keeps to the trained network"""
    labels: tuple[str, ...] = ()
    """Classes that the network was trained to tell apart"""
    training: dict[str, str | int | float] = {}
    """Where the weights come from: recipe, data, seed, revision"""
    licence: str
    files: dict[FileName, FileEntry] = Field(max_length=MAX_FILES)

    @model_validator(mode="after")
    def _models_are_listed(self) -> "Manifest":
        if "golden.safetensors" not in self.files:
            raise ValueError("files does not list golden.safetensors")
        for member in self.members:
            for model in member.embedder.models if member.embedder else ():
                if model.file not in self.files:
                    raise ValueError(f"files does not list {model.file}")
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise ValueError(f"two members have the same name: {names}")
        if len({_pace(member) for member in self.members}) > 1:
            raise ValueError(
                "members differ in rate, span or shift of a unit, or in units of a "
                "window: all must judge the same windows"
            )
        return self


def _pace(member: MemberSpec) -> tuple[int, int, int, int]:
    features = member.features
    return (
        features.rate_hz,
        features.unit_samples,
        features.shift_samples,
        member.pooling.units,
    )


def parse(raw: bytes) -> Manifest:
    """Read a manifest from the exact bytes of its file.

    Raises
    ------
    BundleError
        The bytes are too many, not JSON, or break the schema.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BundleError(
            f"manifest.json has {len(raw)} bytes, at most {MAX_MANIFEST_BYTES} allowed"
        )
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BundleError(f"manifest.json: {where}: {first['msg']}") from error
