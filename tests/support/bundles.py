"""Bundles made on the spot: real files with real hashes, and a network if wanted."""

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from asd_agent.bundle.manifest import FileEntry, Manifest, MemberSpec
from asd_agent.features.spec import FeatureSpec, SecomSpec
from asd_agent.features.stream import band_edges_hz, units
from asd_agent.inference.embedder import EmbedderSpec, ModelFile
from asd_agent.inference.open import open_embedder
from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.detector import (
    DetectorSpec,
    KnnSpec,
    LofSpec,
    MahalanobisSpec,
    MinimumSpec,
)
from asd_agent.scoring.explain import BandGroups
from asd_agent.scoring.pooling import PoolingSpec

SMALL = SecomSpec(window=256, hop=64, unit_frames=8, unit_shift=4, rate_hz=4000)
"""A front end that is quick to compute: units of 0.176 s every 0.064 s"""
SIZE = 16
"""Values in an embedding of `network`"""
MODEL = ModelFile(file="model.float32.onnx", runtime="onnx", precision="float32")
GOLDEN = "golden.safetensors"
DETECTORS: tuple[DetectorSpec, ...] = (
    KnnSpec(),
    KnnSpec(k=2, density=2),
    KnnSpec(centroids=3),
    LofSpec(k=3),
    MahalanobisSpec(),
    MinimumSpec(parts=(KnnSpec(density=1), LofSpec(), MahalanobisSpec())),
)
"""One of each kind that a manifest can name"""


def network(shape: tuple[int, int], seed: int = 0) -> bytes:
    """ONNX file of two dense layers on a unit of `shape`, always the same."""
    rng = np.random.default_rng(seed)
    values = shape[0] * shape[1]
    sizes = ((values, 32), (32, SIZE))
    weights = [
        numpy_helper.from_array(
            (rng.normal(size=size) / np.sqrt(size[0])).astype(np.float32), f"weight{i}"
        )
        for i, size in enumerate(sizes)
    ]
    nodes = [
        helper.make_node("Flatten", ["unit"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight0"], ["hidden"]),
        helper.make_node("Tanh", ["hidden"], ["bent"]),
        helper.make_node("MatMul", ["bent", "weight1"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("unit", TensorProto.FLOAT, (1, 1, *shape))],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, (1, SIZE))],
        weights,
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def entry(content: bytes) -> FileEntry:
    """What a manifest says about a file of this content."""
    digest = hashlib.sha256(content).hexdigest()
    return FileEntry(bytes=len(content), sha256=digest)


def forge(  # noqa: PLR0917 - each is named where it is given
    folder: Path,
    features: FeatureSpec = SMALL,
    pooling: PoolingSpec | None = None,
    members: int = 1,
    embeds: bool = False,
    detector: DetectorSpec = KnnSpec(),  # noqa: B008 - frozen
    statistics: bool = False,
    **changes: Any,
) -> Path:
    """Write a bundle.

    Parameters
    ----------
    members
        So many that are alike.
    embeds
        Whether they have a network; else levels of bands are scored.
    detector
        Of each of them.
    statistics
        Whether a member without a network, of that name, stands beside them.
    changes
        Keys of the manifest that are replaced, unchecked.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    audio = rng.normal(0, 0.1, features.unit_samples * 3).astype(np.float32)
    expected = units(features, audio)
    golden = {"audio": audio}
    names = [f"member-{i}" for i in range(members)] + ["statistics"] * statistics
    golden |= {f"features/{name}": expected for name in names}
    groups = BandGroups(band_edges_hz(features), features.mean_db, features.std_db)
    plain = np.stack([groups.statistics(unit) for unit in expected])
    golden |= {f"vector/{name}": plain for name in names}
    contents: dict[str, bytes] = {}
    embedder = None
    if embeds:
        embedder = EmbedderSpec(size=SIZE, models=(MODEL,))
        contents[MODEL.file] = network(features.unit_shape)
        golden |= _expected(embedder, contents, expected)
    contents[GOLDEN] = save(golden)
    pooling = pooling or PoolingSpec(units=6)
    specs = [
        MemberSpec(
            name=f"member-{i}",
            features=features,
            embedder=embedder,
            pooling=pooling,
            detector=detector,
        )
        for i in range(members)
    ]
    if statistics:
        specs.append(_statistics(features, pooling.units))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    manifest = Manifest(
        id="forged-1",
        version=1,
        created=datetime(2026, 1, 1, tzinfo=timezone.utc),
        members=tuple(specs),
        licence="Apache-2.0",
        files={name: entry(content) for name, content in contents.items()},
    ).model_copy(update=changes)
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder


def _statistics(features: FeatureSpec, count: int) -> MemberSpec:
    return MemberSpec(
        name="statistics",
        features=features,
        embedder=None,
        pooling=PoolingSpec(kind="both", units=count, unit_norm=False),
        detector=MahalanobisSpec(),
    )


def reforge(folder: Path, name: str, content: bytes) -> None:
    """Give a file other content and the manifest its hash, as a builder would."""
    (folder / name).write_bytes(content)
    path = folder / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_bytes())
    files = manifest.files | {name: entry(content)}
    path.write_text(manifest.model_copy(update={"files": files}).model_dump_json())


def _expected(
    spec: EmbedderSpec, contents: dict[str, bytes], features: np.ndarray[Any, Any]
) -> dict[str, np.ndarray[Any, Any]]:
    embedder = open_embedder(spec, contents.__getitem__, unit_shape=features.shape[1:])
    vectors = np.stack([embedder.embed(unit) for unit in features])
    bank = KnnBank().fit(vectors[:1])
    scores = np.array([bank.score(vector) for vector in vectors[1:]], np.float32)
    return {f"embedding/{MODEL.file}": vectors, f"score/{MODEL.file}": scores}
