"""Say in words what a bundle holds."""

from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import Manifest, MemberSpec
from asd_agent.scoring.detector import DetectorSpec

SHOWN_LABELS = 6
"""A network learns hundreds of classes; a few show what they are"""


def describe(path: Path) -> str:
    """Verify a bundle and describe it.

    Raises
    ------
    BundleError
        It is broken, or a file differs from the manifest.
    """
    manifest = Bundle.open(path).manifest
    lines = [
        f"{manifest.id}, version {manifest.version}, for {manifest.device_class}",
        f"created   {manifest.created.isoformat(timespec='seconds')}",
        f"licence   {manifest.licence}",
    ]
    if manifest.labels:
        shown = ", ".join(manifest.labels[:SHOWN_LABELS])
        more = ", ..." if len(manifest.labels) > SHOWN_LABELS else ""
        lines.append(f"labels    {len(manifest.labels)}: {shown}{more}")
    lines += [f"training  {key}: {value}" for key, value in manifest.training.items()]
    for member in manifest.members:
        lines += _member(member)
    golden = manifest.golden
    lines.append(
        f"golden    features within {golden.features:g}, cosine at least "
        f"{golden.cosine:g}, scores within {golden.score:g}"
    )
    if len(manifest.members) > 1:
        lines.append(f"combined  {manifest.combine}")
    return "\n".join(lines + _files(manifest))


def _member(member: MemberSpec) -> list[str]:
    spec = member.features
    bands, frames = spec.unit_shape
    span_ms = 1000 * spec.unit_samples / spec.rate_hz
    shift_ms = 1000 * spec.shift_samples / spec.rate_hz
    lines = [
        f"member    {member.name}",
        f"  sound   {spec.kind}, {spec.rate_hz} Hz, unit {bands} x {frames} "
        f"({span_ms:.0f} ms) every {shift_ms:.0f} ms",
    ]
    if member.embedder:
        files = ", ".join(model.file for model in member.embedder.models)
        lines.append(f"  network {member.embedder.size} values; preferred: {files}")
    else:
        lines.append(f"  network none: levels in {member.groups} groups of bands")
    pooling = member.pooling
    lines.append(
        f"  score   {pooling.kind} of {pooling.units} units, "
        f"{_detector(member.detector)}"
    )
    return lines


def _detector(detector: DetectorSpec) -> str:
    """A detector with the parameters that are not off."""
    settings = detector.model_dump(exclude={"kind", "parts"})
    said = ", ".join(f"{key} = {value}" for key, value in settings.items() if value)
    parts = "; ".join(_detector(part) for part in getattr(detector, "parts", ()))
    return detector.kind + f" with {said}" * bool(said) + f" ({parts})" * bool(parts)


def _files(manifest: Manifest) -> list[str]:
    return [
        f"file      {name:22} {entry.bytes:>10} bytes  {entry.sha256[:16]}"
        for name, entry in manifest.files.items()
    ]
