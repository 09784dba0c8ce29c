"""What the exporter writes for a device to repeat."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from asd_agent.bundle.manifest import FileTolerance, MemberSpec
from asd_agent.errors import BundleError, SoundError
from asd_agent.inference.embedder import EmbedderSpec, ModelFile
from asd_agent.scoring.detector import KnnSpec
from asd_agent.scoring.pooling import PoolingSpec
from asd_export.files import FILES
from asd_export.golden import golden_tensors, tolerances
from support.bundles import SMALL, clips

ONNX = ModelFile(file="a.onnx", runtime="onnx", precision="float32")
TFLITE = ModelFile(file="b.tflite", runtime="tflite", precision="int8")
SPEC = EmbedderSpec(size=2, models=(ONNX, TFLITE))


@dataclass
class Levels:
    """Level of the lower and of the upper half of the bands, for an embedding."""

    model: ModelFile
    library: str = "none"
    worth: NDArray[np.float32] = field(default_factory=lambda: np.ones(2, np.float32))

    def embed(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        halves = unit.reshape(2, -1).mean(axis=1) * self.worth
        return np.asarray(halves, np.float32)


def member(name: str, embeds: bool) -> MemberSpec:
    return MemberSpec(
        name=name,
        features=SMALL,
        embedder=SPEC if embeds else None,
        pooling=PoolingSpec(units=4, unit_norm=embeds),
        detector=KnnSpec(),
    )


def test_every_member_has_those_of_each_file() -> None:
    members = [member("net", True), member("levels", False), member("more", True)]
    found = golden_tensors(clips(SMALL), members, [Levels(ONNX), Levels(TFLITE)])
    keys = ["net/a.onnx", "net/b.tflite", "levels", "more/a.onnx", "more/b.tflite"]
    what = ["vector", "pooled", "score", "p_value"]
    assert list(found) == [
        "audio",
        "features/net",
        *[f"{kind}/{key}" for key in keys for kind in what],
    ]
    assert all(values.flags.c_contiguous for values in found.values())


def test_clips_that_are_too_few_or_too_short() -> None:
    for audio in (clips(SMALL)[:2], clips(SMALL)[:, :100]):
        with pytest.raises(SoundError, match="golden audio of the run"):
            golden_tensors(audio, [member("levels", False)], [])


def test_a_network_without_numbers_is_told_as_it_is() -> None:
    wrong = Levels(ONNX, worth=np.array([np.nan, 1], np.float32))
    with pytest.raises(BundleError, match=r"net/a\.onnx: gives what is not a number"):
        golden_tensors(clips(SMALL), [member("net", True)], [wrong])


def test_each_file_has_its_own_tolerance() -> None:
    found = tolerances(FILES.values()).files
    assert set(found) == {model.file for model in FILES.values()}

    def stricter(one: FileTolerance, other: FileTolerance) -> bool:
        return (
            one.cosine > other.cosine
            and one.score < other.score
            and one.p_value < other.p_value
        )

    assert found["model.float32.onnx"] == found["model.float32.tflite"]
    assert stricter(found["model.float32.onnx"], found["model.int8.onnx"])
    # What LiteRT needs loosens nothing else.
    assert stricter(found["model.int8.onnx"], found["model.int8.tflite"])
