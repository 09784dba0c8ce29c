"""Bundles made on the spot: real files with real hashes, no network needed."""

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from asd_agent.bundle.manifest import FileEntry, Manifest, MemberSpec
from asd_agent.features.spec import FeatureSpec, SecomSpec
from asd_agent.features.stream import units
from asd_agent.scoring.detector import DetectorSpec
from asd_agent.scoring.pooling import PoolingSpec
from safetensors.numpy import save

SMALL = SecomSpec(window=256, hop=64, unit_frames=8, unit_shift=4, rate_hz=4000)
"""A front end that is quick to compute: units of 0.176 s every 0.064 s"""


def forge(
    folder: Path,
    features: FeatureSpec = SMALL,
    pooling: PoolingSpec | None = None,
    members: int = 1,
    **changes: Any,
) -> Path:
    """Write a bundle of mean spectra; `changes` replace keys of the manifest."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    audio = rng.normal(0, 0.1, features.unit_samples * 3).astype(np.float32)
    golden = save({"audio": audio, "features": units(features, audio)})
    (folder / "golden.safetensors").write_bytes(golden)
    digest = hashlib.sha256(golden).hexdigest()
    specs = tuple(
        MemberSpec(
            name=f"spectrum-{i}",
            features=features,
            embedder=None,
            pooling=pooling or PoolingSpec(units=6),
            detector=DetectorSpec(),
        )
        for i in range(members)
    )
    manifest = Manifest(
        id="forged-1",
        version=1,
        created=datetime(2026, 1, 1, tzinfo=timezone.utc),
        members=specs,
        licence="Apache-2.0",
        files={"golden.safetensors": FileEntry(bytes=len(golden), sha256=digest)},
    ).model_copy(update=changes)
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return folder
