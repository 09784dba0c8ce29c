"""What a member is, and which of its files runs."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.golden import expected
from asd_agent.bundle.member import open_members, ways
from asd_agent.errors import BundleError
from asd_agent.features.stream import units
from asd_agent.inference.embedder import EmbedderSpec, ModelFile
from asd_agent.scoring.pooling import PoolingSpec
from support.bundles import (
    GOLDEN,
    MODEL,
    SIZE,
    SMALL,
    clips,
    entry,
    forge,
    network,
    reforge,
)
from support.sounds import noise, opened

OTHER = ModelFile(file="other.onnx", runtime="onnx", precision="float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle", embeds=True)


def test_a_member_embeds_units(folder: Path) -> None:
    (member,) = opened(folder)
    unit = units(SMALL, noise(SMALL.unit_samples))[0]
    assert member.embed(unit).shape == (SIZE,) == (member.size,)
    assert member.pooled_size == SIZE
    assert member.library.startswith("onnxruntime ")
    assert len(member.model_sha256) == 64


def test_without_a_network_levels_of_bands_stand_for_it(tmp_path: Path) -> None:
    pooling = PoolingSpec(kind="both", units=2, unit_norm=False)
    (member,) = opened(forge(tmp_path / "plain", pooling=pooling))
    unit = units(SMALL, noise(SMALL.unit_samples))[0]
    vector = member.embed(unit)
    groups = len(member.groups)
    levels = member.groups.levels(unit)
    np.testing.assert_allclose(vector[:groups], levels, atol=1e-4)
    np.testing.assert_array_equal(vector, member.groups.statistics(unit))
    assert (member.size, member.pooled_size) == (2 * groups, 4 * groups)
    assert (member.library, member.model_sha256) == ("numpy", "")


def two_files(folder: Path, **changes: object) -> Path:
    """A bundle with two networks for its one member, each with its golden numbers."""
    forge(folder, embeds=True)
    (folder / OTHER.file).write_bytes(network(SMALL.unit_shape, seed=5))
    manifest = Bundle.open(folder).manifest
    spec = EmbedderSpec(size=SIZE, models=(MODEL, OTHER))
    (member,) = manifest.members
    member = member.model_copy(update={"embedder": spec})
    files = {
        model.file: entry((folder / model.file).read_bytes()) for model in spec.models
    }
    manifest = manifest.model_copy(
        update={"members": (member,), "files": manifest.files | files, **changes}
    )
    bundle = Bundle(folder, manifest)
    opened = [way.open() for way in ways(bundle, member)]
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    reforge(folder, GOLDEN, save(expected(clips(SMALL), opened)))
    return folder


def test_the_first_file_runs(tmp_path: Path) -> None:
    (member,) = opened(two_files(tmp_path / "two"))
    assert member.model_file == MODEL.file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (network(SMALL.unit_shape, seed=7), f"unit vectors of {MODEL.file} differ"),
        (network((128, 9)), f"{MODEL.file}: input has shape"),
        (b"not a network", f"{MODEL.file}: onnxruntime"),
    ],
)
def test_the_next_file_runs_where_one_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, words: str
) -> None:
    folder = two_files(tmp_path / "two")
    reforge(folder, MODEL.file, content)
    (member,) = opened(folder)
    assert member.model_file == OTHER.file
    sha256 = Bundle.open(folder).manifest.files[OTHER.file].sha256
    assert member.model_sha256 == sha256
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert words in record.getMessage()
    assert record.getMessage().endswith(f"; {OTHER.file} runs in its place")


def test_where_every_file_fails_the_first_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = two_files(tmp_path / "two")
    reforge(folder, MODEL.file, b"not a network")
    reforge(folder, OTHER.file, network(SMALL.unit_shape, seed=7))
    with pytest.raises(BundleError, match=rf"^{MODEL.file}: onnxruntime"):
        opened(folder)
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_a_runtime_that_the_bundle_wants_but_has_no_file_for(tmp_path: Path) -> None:
    folder = two_files(tmp_path / "two", runtime="tflite")
    (member,) = opened(folder)
    assert member.model_file == MODEL.file
    with pytest.raises(BundleError, match="has no tflite model") as caught:
        open_members(Bundle.open(folder), "tflite")
    assert caught.value.reason == "no_runtime"


def test_without_a_network_there_is_one_way(tmp_path: Path) -> None:
    bundle = Bundle.open(forge(tmp_path / "plain"))
    (way,) = ways(bundle, bundle.manifest.members[0])
    assert (way.file, way.library) == ("", "numpy")
