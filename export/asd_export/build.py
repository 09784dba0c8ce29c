"""Build a bundle from a trained network: convert, measure, write."""

import hashlib
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import FileEntry, Manifest, MemberSpec
from asd_agent.bundle.member import open_members
from asd_agent.errors import ConfigError
from asd_agent.inference.embedder import Embedder, EmbedderSpec
from asd_agent.inference.open import open_embedder
from asd_export import gate
from asd_export.convert import convert, structure
from asd_export.files import FILES
from asd_export.golden import golden_tensors, tolerances
from asd_export.parity import Parity, Reference
from asd_export.source import Source

GOLDEN = "golden.safetensors"
Report = Callable[[str], None]
Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a build."""

    id: str
    """Identity of the bundle"""
    version: int
    """Rises with every release"""
    created: datetime
    """With its time zone"""
    files: tuple[str, ...] = tuple(FILES)
    """Model files, keys of `FILES`"""


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle in memory, measured and complete."""

    manifest: Manifest
    files: dict[str, bytes]
    """Contents by file name, without the manifest"""
    parity: tuple[Parity, ...]
    """One row for each model file"""


def build(source: Source, order: Order, report: Report) -> Built:
    """Convert a trained network, open every file as a device does, and measure.

    Raises
    ------
    RuntimeMissing
        A converter or a runtime is not installed.
    SoundError
        The golden audio is too short.
    """
    shape = source.features.unit_shape
    models = convert(source.network, shape, source.calibration, order.files, report)
    report("embedding held-out sound with the trained network")
    reference = Reference.of(source.network, source.calibration, source.held_out)
    size = reference.embeddings.shape[1]
    spec = EmbedderSpec(size=size, models=tuple(FILES[name] for name in models))
    embedders = {name: _open(name, models[name], spec, shape) for name in models}
    rows = []
    for name, embedder in embedders.items():
        report(f"measuring {FILES[name].file}")
        counted = structure(name, models[name])
        rows.append(reference.compare(embedder, models[name], counted))
    golden = _golden(source, embedders.values())
    files = {FILES[name].file: content for name, content in models.items()}
    files[GOLDEN] = save(golden)
    manifest = _manifest(source, order, spec, files)
    return Built(manifest, files, tuple(rows))


def _open(
    name: str, content: bytes, spec: EmbedderSpec, shape: tuple[int, int]
) -> Embedder:
    alone = EmbedderSpec(size=spec.size, models=(FILES[name],))
    return open_embedder(alone, lambda _: content, unit_shape=shape)


def _golden(source: Source, embedders: Collection[Embedder]) -> dict[str, Array]:
    """Golden tensors of every member."""
    tensors: dict[str, Array] = {}
    for scorer in source.scorers:
        tensors |= golden_tensors(
            source.member_name(scorer),
            source.features,
            source.golden_audio,
            embedders if scorer.network else (),
            scorer.groups,
        )
    return tensors


def _manifest(
    source: Source, order: Order, spec: EmbedderSpec, files: dict[str, bytes]
) -> Manifest:
    return Manifest(
        id=order.id,
        version=order.version,
        created=order.created,
        members=tuple(
            MemberSpec(
                name=source.member_name(scorer),
                features=source.features,
                embedder=spec if scorer.network else None,
                groups=scorer.groups,
                pooling=scorer.pooling,
                # A device has one bank, of all that it learnt.
                detector=scorer.of_all,
            )
            for scorer in source.scorers
        ),
        combine=source.combine,
        golden=tolerances(spec.models),
        labels=source.labels,
        training=source.training,
        licence=source.licence,
        files={
            name: FileEntry(
                bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
            )
            for name, content in files.items()
        },
    )


def require_absent(target: Path) -> None:
    """Refuse a target that exists, and make its folder, before any work is done.

    Raises
    ------
    ConfigError
        There is something at `target`, or its folder cannot be made.
    """
    if target.exists():
        raise ConfigError(
            f"{target} exists and bundles are never overwritten; "
            "give another -o or remove it"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{target.parent}: no folder can be made there: {error.strerror}; "
            "give another -o"
        ) from error


def write(built: Built, target: Path) -> None:
    """Write a bundle whole or not at all, tested as a device tests it.

    Raises
    ------
    ConfigError
        There is something at `target`.
    BundleError
        A file is not what was trained (`gate.check`), or the bundle fails the
        test that a device makes before it uses one.
    """
    gate.check(built.parity)
    require_absent(target)
    with tempfile.TemporaryDirectory(
        prefix=f".{target.name}-", dir=target.parent
    ) as folder:
        whole = Path(folder) / "bundle"
        whole.mkdir()
        for name, content in built.files.items():
            (whole / name).write_bytes(content)
        text = built.manifest.model_dump_json()
        (whole / "manifest.json").write_text(text + "\n", encoding="utf-8")
        for runtime in dict.fromkeys(row.model.runtime for row in built.parity):
            open_members(Bundle.open(whole), runtime)
        whole.rename(target)
