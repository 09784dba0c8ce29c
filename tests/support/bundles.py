"""Bundles made on the spot: real files with real hashes, and a network if wanted."""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from asd_agent.bundle.golden import expected
from asd_agent.bundle.manifest import FileEntry, Manifest, MemberSpec
from asd_agent.bundle.member import Member, member_of
from asd_agent.bundle.signature import SIGNATURE_FILE, PublicKey, message
from asd_agent.features.spec import FeatureSpec, SecomSpec
from asd_agent.inference.embedder import EmbedderSpec, ModelFile
from asd_agent.inference.open import open_embedder
from asd_agent.scoring.detector import (
    DetectorSpec,
    KnnSpec,
    LofSpec,
    MahalanobisSpec,
    MinimumSpec,
)
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
    model: bytes | None = None,
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
    model
        ONNX file of the network; None: that of `network`.
    changes
        Keys of the manifest that are replaced, unchecked.
    """
    folder.mkdir(parents=True)
    contents: dict[str, bytes] = {}
    embedder = None
    if embeds:
        embedder = EmbedderSpec(size=SIZE, models=(MODEL,))
        contents[MODEL.file] = model or network(features.unit_shape)
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
    contents[GOLDEN] = save(expected(clips(features), _opened(specs, contents)))
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


def key_pair(folder: Path, name: str = "factory") -> tuple[Ed25519PrivateKey, Path]:
    """A private key, and the file ``<name>.pub`` of its public key."""
    private = Ed25519PrivateKey.generate()
    path = folder / f"{name}.pub"
    path.write_bytes(public_pem(private.public_key()))
    return private, path


def public_pem(key: Ed25519PublicKey) -> bytes:
    """What stands in the file of a public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form)


def public(private: Ed25519PrivateKey, name: str = "factory") -> PublicKey:
    """The key as a device knows it."""
    return PublicKey.of(name, private.public_key().public_bytes_raw())


def sign(folder: Path, private: Ed25519PrivateKey) -> Path:
    """Sign a forged bundle as it lies there."""
    raw = (folder / "manifest.json").read_bytes()
    (folder / SIGNATURE_FILE).write_bytes(private.sign(message(raw)))
    return folder


def reforge(folder: Path, name: str, content: bytes) -> None:
    """Give a file other content and the manifest its hash, as a builder would."""
    (folder / name).write_bytes(content)
    path = folder / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_bytes())
    files = manifest.files | {name: entry(content)}
    path.write_text(manifest.model_copy(update={"files": files}).model_dump_json())


def clips(features: FeatureSpec) -> NDArray[np.int16]:
    """Golden sound: four clips of noise, each softer than the one before."""
    rng = np.random.default_rng(1)
    samples = features.unit_samples + 2 * features.shift_samples
    noise = rng.normal(0, 0.1, (4, samples)) * np.logspace(0, -1, 4)[:, None]
    return np.round(noise * 32768).astype(np.int16)


def _opened(specs: list[MemberSpec], contents: dict[str, bytes]) -> Iterator[Member]:
    for spec in specs:
        embedder = None
        if spec.embedder:
            shape = spec.features.unit_shape
            read = contents.__getitem__
            embedder = open_embedder(spec.embedder, read, unit_shape=shape)
        yield member_of(spec, embedder)
