"""A bundle is what was trained, passes the device's test, and is whole or absent."""

import json
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter
from safetensors.numpy import load, save

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.bundle.selftest import examine
from asd_agent.errors import BundleError, ConfigError, SoundError
from asd_export.build import Built, build, write
from asd_export.files import FILES
from asd_export.order import Order
from support.bundles import entry
from support.tiny_models import SIZE, tiny_source

CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
ORDER = Order(id="tiny", version=3, created=CREATED)


@cache
def built() -> Built:
    return build(tiny_source(), ORDER, lambda _: None)


@pytest.mark.parametrize("runtime", ["auto", "onnx", "tflite"])
def test_a_device_accepts_the_bundle(tmp_path: Path, runtime: str) -> None:
    write(built(), tmp_path / "b")
    bundle = Bundle.open(tmp_path / "b")
    assert bundle.manifest == built().manifest
    (member,) = open_members(bundle, runtime)  # type: ignore[arg-type]  # parametrised
    assert member.size == SIZE


def test_only_the_bundle_is_left(tmp_path: Path) -> None:
    write(built(), tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    names = sorted(path.name for path in (tmp_path / "b").iterdir())
    models = [model.file for model in FILES.values()]
    assert names == sorted([*models, "golden.safetensors", "manifest.json"])


def test_manifest_says_where_it_comes_from() -> None:
    manifest = built().manifest
    assert (manifest.id, manifest.version, manifest.created) == ("tiny", 3, CREATED)
    assert manifest.labels == ("fan", "valve")
    assert manifest.training == {"seed": 1, "steps": 20}
    assert manifest.licence == "Apache-2.0"
    (member,) = manifest.members
    assert member.name == "tinynet"
    assert member.features == tiny_source().features
    assert member.embedder is not None
    assert member.embedder.size == SIZE
    assert member.embedder.models == tuple(FILES.values())


def test_every_file_has_golden_numbers_of_its_own() -> None:
    golden = load(built().files["golden.safetensors"])
    assert golden["audio"].shape[0] == len(tiny_source().golden_audio)
    for model in FILES.values():
        for what in ("vector", "pooled", "score", "p_value"):
            assert np.isfinite(golden[f"{what}/tinynet/{model.file}"]).all()
    assert len(golden) == 2 + 4 * len(FILES)
    of_int8 = golden["vector/tinynet/model.int8.onnx"]
    of_float = golden["vector/tinynet/model.float32.onnx"]
    assert np.abs(of_int8 - of_float).max() > 0
    assert np.corrcoef(of_int8.ravel(), of_float.ravel())[0, 1] > 0.5


def test_device_that_computes_otherwise_is_found(tmp_path: Path) -> None:
    other = built()
    golden = load(other.files["golden.safetensors"])
    last = "vector/tinynet/model.float32.tflite"
    files = {**other.files, "golden.safetensors": save({**golden, last: -golden[last]})}
    listed = {name: entry(content) for name, content in files.items()}
    manifest = other.manifest.model_copy(update={"files": listed})
    wrong = r"unit vectors of model\.float32\.tflite differ"
    with pytest.raises(BundleError, match=wrong) as caught:
        write(replace(other, files=files, manifest=manifest), tmp_path / "b")
    assert caught.value.reason == "differs"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kernels", ["BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN_REF"]
)
def test_tolerance_covers_the_kernels_of_another_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: str
) -> None:
    write(built(), tmp_path / "b")
    usual = interpreter.Interpreter
    resolver = interpreter.OpResolverType[kernels]
    monkeypatch.setattr(
        interpreter,
        "Interpreter",
        partial(usual, experimental_op_resolver_type=resolver),
    )
    proof = examine(Bundle.open(tmp_path / "b"), "tflite", every=True)
    proof.require()
    # They do differ, or this would prove nothing.
    assert max(row.difference for row in proof.rows if "int8" in row.file) > 1e-5


def test_too_little_golden_audio_is_refused() -> None:
    source = tiny_source()
    source = replace(source, golden_audio=source.golden_audio[:2])
    order = replace(ORDER, files=("onnx-float32",))
    with pytest.raises(SoundError, match="2 clips, expected 3 to"):
        build(source, order, lambda _: None)


def test_bad_parity_writes_nothing(tmp_path: Path) -> None:
    good = built().parity[0]
    bad = replace(good, agreement=replace(good.agreement, rank=0.2))
    with pytest.raises(BundleError, match="no bundle was written"):
        write(replace(built(), parity=(bad,)), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("stage", ["write_bytes", "write_text", "rename"])
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    error: BaseException,
) -> None:
    complete = built()

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Path, stage, fail)
    with pytest.raises(type(error)):
        write(complete, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "mine").write_text("kept")
    with pytest.raises(ConfigError, match="exists and bundles are never overwritten"):
        write(built(), target)
    assert [path.name for path in target.iterdir()] == ["mine"]


def test_the_folder_above_is_made(tmp_path: Path) -> None:
    write(built(), tmp_path / "new" / "b")
    assert Bundle.open(tmp_path / "new" / "b").manifest == built().manifest


def test_no_folder_can_be_made_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ConfigError, match="no folder can be made there"):
        write(built(), tmp_path / "file" / "b")


def test_manifest_on_disk_is_plain_json(tmp_path: Path) -> None:
    write(built(), tmp_path / "b")
    raw = json.loads((tmp_path / "b" / "manifest.json").read_text())
    assert raw["created"] == "2026-01-02T03:04:05Z"
    assert set(raw["files"]) == set(built().files)
