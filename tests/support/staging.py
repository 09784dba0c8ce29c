"""Bundles that are fetched: a manifest of any files, and the folder they come to."""

from datetime import datetime, timezone
from pathlib import Path
from threading import Event

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.manifest import Manifest, MemberSpec
from asd_agent.bundle.staged import Staged
from asd_agent.scoring.detector import KnnSpec
from asd_agent.scoring.pooling import PoolingSpec
from support.bundles import GOLDEN, SMALL, entry

MODEL = "model.onnx"
NEVER = Event()
"""Nobody sets it"""


def manifest_of(contents: dict[str, bytes]) -> bytes:
    """A manifest that lists files of this content."""
    member = MemberSpec(
        name="member-0",
        features=SMALL,
        embedder=None,
        pooling=PoolingSpec(units=6),
        detector=KnnSpec(),
    )
    manifest = Manifest(
        id="pump-a",
        version=3,
        created=datetime(2026, 11, 21, tzinfo=timezone.utc),
        members=(member,),
        licence="Apache-2.0",
        files={name: entry(content) for name, content in contents.items()},
    )
    return manifest.model_dump_json().encode()


def files(size: int = 200_000) -> dict[str, bytes]:
    """Contents of a bundle of two files; no two parts of the larger are alike."""
    numbers = b"".join(i.to_bytes(4, "big") for i in range(size // 4))
    return {GOLDEN: b"golden numbers", MODEL: numbers}


def stage(folder: Path, contents: dict[str, bytes]) -> Staged:
    """Begin to fetch a bundle of this content."""
    return Staged(folder, manifest_of(contents), None, Disk())


def fetched(staged: Staged) -> dict[str, bytes]:
    """Contents of the files that are whole."""
    names = set(staged.manifest.files) - set(staged.missing())
    return {name: (staged.path / name).read_bytes() for name in names}
