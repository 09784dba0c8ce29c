"""Build a bundle from a trained network: convert, measure, write."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import save

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import FileEntry, FileParity, Manifest
from asd_agent.bundle.selftest import examine
from asd_agent.errors import ConfigError
from asd_agent.inference.embedder import EmbedderSpec
from asd_export import choose, gate, sensitivity
from asd_export.calibrate import ways
from asd_export.choose import Tried
from asd_export.convert import Report
from asd_export.files import FILES
from asd_export.golden import golden_tensors, tolerances
from asd_export.order import Order
from asd_export.parity import Parity, Reference
from asd_export.source import Source

GOLDEN = "golden.safetensors"


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle in memory, measured and complete."""

    manifest: Manifest
    files: dict[str, bytes]
    """Contents by file name, without the manifest"""
    parity: tuple[Parity, ...]
    """One row for each model file"""
    tried: tuple[Parity, ...] = ()
    """One row for each way that was tried to make one"""
    hurting: str = ""
    """Lines that name the layers which hurt, where a file lost too much"""


def build(source: Source, order: Order, report: Report) -> Built:
    """Convert a trained network, open every file as a device does, and measure.

    Raises
    ------
    RuntimeMissing
        A converter or a runtime is not installed.
    SoundError
        The golden audio is too short.
    """
    report("embedding calibration and held-out sound with the trained network")
    reference = Reference.of(
        source.network, source.calibration, source.held_out, source.poolings
    )
    how = ways(order.calibration)
    tried = choose.measure(source.network, reference, order.files, how, report)
    if order.tuning:
        tried += choose.tuned(
            source.network, reference, tried, how, order.tuning, report=report
        )
    kept = choose.best(tried)
    models = tuple(FILES[name] for name in _preferred(kept, order.format))
    spec = EmbedderSpec(size=reference.embeddings.shape[1], models=models)
    opened = [one.embedder for one in kept.values()]
    members = source.members(spec)
    golden = golden_tensors(source.golden_audio, members, opened)
    files = {FILES[name].file: one.content for name, one in kept.items()}
    files[GOLDEN] = save(golden)
    return Built(
        manifest=_manifest(source, order, spec, files, kept),
        files=files,
        parity=tuple(one.row for one in kept.values()),
        tried=tuple(one.row for one in tried),
        hurting=_hurting(source, reference, kept, report),
    )


def _preferred(kept: Mapping[str, Tried], runtime: str) -> list[str]:
    return sorted(kept, key=lambda name: FILES[name].runtime != runtime)


def _hurting(
    source: Source, reference: Reference, kept: Mapping[str, Tried], report: Report
) -> str:
    """Name the layers that hurt the first int8 file whose scores are not kept."""
    for name, one in kept.items():
        if FILES[name].precision == "int8" and not gate.keeps_scores(one.row):
            report(f"{FILES[name].file} loses too much: measuring its layers")
            runtime = FILES[name].runtime
            found = sensitivity.layers(source.network, reference, runtime, one.way)
            return sensitivity.worst(found)
    return ""


def _manifest(
    source: Source,
    order: Order,
    spec: EmbedderSpec,
    files: dict[str, bytes],
    kept: Mapping[str, Tried],
) -> Manifest:
    training = dict(source.training)
    if order.tuning and any(one.tuned for one in kept.values()):
        training["qat_steps"] = order.tuning.steps
    return Manifest(
        id=order.id,
        version=order.version,
        device_class=order.device_class,
        created=order.created,
        members=source.members(spec),
        combine=source.combine,
        golden=tolerances(spec.models),
        runtime=order.runtime,
        parity={FILES[name].file: _recorded(one.row) for name, one in kept.items()},
        labels=source.labels,
        training=training,
        licence=source.licence,
        files={
            name: FileEntry(
                bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
            )
            for name, content in files.items()
        },
    )


def _recorded(row: Parity) -> FileParity:
    agreed = row.agreement
    return FileParity(
        library=row.library,
        method=row.method,
        cosine_mean=agreed.cosine_mean,
        cosine_min=agreed.cosine_min,
        rank=agreed.rank,
        auc_loss=agreed.auc_loss,
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
    gate.check(built.parity, built.hurting)
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
        examine(Bundle.open(whole), "auto", every=True).require()
        whole.rename(target)
