"""Say in words, or to a program, what a bundle holds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asd_agent.bundle.bundle import Bundle, read_signature
from asd_agent.bundle.manifest import GoldenSpec, Manifest, MemberSpec
from asd_agent.bundle.signature import PublicKey
from asd_agent.bundle.trust import Trust
from asd_agent.scoring.detector import DetectorSpec
from asd_export.device import printable

SHOWN_LABELS = 6
"""A network learns hundreds of classes; a few show what they are"""


def describe(path: Path, keys: Sequence[PublicKey] = ()) -> str:
    """Verify a bundle and describe it.

    Parameters
    ----------
    keys
        One of them must have signed it; empty: its signature is not checked.

    Raises
    ------
    BundleError
        It is broken, a file differs from the manifest, or none of `keys` signed it.
    """
    bundle, signature = _open(path, keys)
    manifest = bundle.manifest
    lines = [
        f"{manifest.id}, version {manifest.version}, for {manifest.device_class}",
        f"created   {manifest.created.isoformat(timespec='seconds')}",
        f"signature {_signature(bundle, signature)}",
        f"licence   {manifest.licence}",
        f"runtime   {manifest.runtime}",
    ]
    if manifest.labels:
        shown = ", ".join(manifest.labels[:SHOWN_LABELS])
        more = ", ..." if len(manifest.labels) > SHOWN_LABELS else ""
        lines.append(f"labels    {len(manifest.labels)}: {shown}{more}")
    lines += [f"training  {key}: {value}" for key, value in manifest.training.items()]
    for member in manifest.members:
        lines += _member(member)
    if len(manifest.members) > 1:
        lines.append(f"combined  {manifest.combine}")
    lines += _golden(manifest.golden) + _files(manifest) + _parity(manifest)
    return "\n".join(map(printable, lines))


def as_json(path: Path, keys: Sequence[PublicKey] = ()) -> str:
    """Verify a bundle and give its manifest, its sizes and who signed it.

    Raises
    ------
    BundleError
        As `describe`.
    """
    bundle, signature = _open(path, keys)
    key = bundle.signed_by
    found: dict[str, Any] = {
        "manifest": bundle.manifest.model_dump(mode="json"),
        "bytes": sum(entry.bytes for entry in bundle.manifest.files.values()),
        "signature": {
            "present": signature is not None,
            "key": {"name": key.name, "id": key.id} if key else None,
        },
    }
    return json.dumps(found, indent=2)


def _open(path: Path, keys: Sequence[PublicKey]) -> tuple[Bundle, bytes | None]:
    """Open a bundle of whatever class, and read its signature."""
    bundle = Bundle.open(path)
    if keys:
        bundle = Bundle.open(
            path, Trust(tuple(keys), device_class=bundle.manifest.device_class)
        )
    return bundle, read_signature(path)


def _signature(bundle: Bundle, signature: bytes | None) -> str:
    if signature is None:
        return "none: devices take it only with allow_unsigned: true"
    if bundle.signed_by is None:
        return "not checked; --trusted-key does"
    return f"valid, by {bundle.signed_by}"


def _golden(golden: GoldenSpec) -> list[str]:
    lines = [
        f"golden    features within {golden.features:g}, cosine at least "
        f"{golden.cosine:g}, scores within {golden.score:g}"
    ]
    lines += [
        f"  {name:20} cosine at least {file.cosine:g}, scores within {file.score:g}, "
        f"p-values within {file.p_value:.0%}"
        for name, file in golden.files.items()
    ]
    return lines


def _parity(manifest: Manifest) -> list[str]:
    """How well each model file keeps to the trained network."""
    if not manifest.parity:
        return ["parity    not recorded"]
    head = ("parity", "cosine mean", "min", "rank", "AUC loss", "ranges", "measured by")
    rows = [
        (
            name,
            f"{row.cosine_mean:.4f}",
            f"{row.cosine_min:.4f}",
            f"{row.rank:.4f}",
            "-" if row.auc_loss is None else f"{row.auc_loss:+.4f}",
            row.method or "-",
            row.library,
        )
        for name, row in manifest.parity.items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]


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
    lines = [
        f"file      {name:22} {entry.bytes:>10} bytes  {entry.sha256[:16]}"
        for name, entry in manifest.files.items()
    ]
    total = sum(entry.bytes for entry in manifest.files.values())
    return [*lines, f"together  {len(lines):<22} {total:>10} bytes"]
