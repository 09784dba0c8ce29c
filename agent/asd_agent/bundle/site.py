"""What was learnt of one machine on site: one file beside the bundle.

A site holds for the exact model file that it was learnt with: int8 and float,
ONNX and TFLite give different embeddings, so another model needs another site. So
does another front end, pooling or detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.member import Member
from asd_agent.errors import SiteError

SUFFIX = ".safetensors"
"""Ends the name of a site"""
MAX_SITE_BYTES = 268_435_456
"""A larger file is not read"""


@dataclass(frozen=True, slots=True)
class SiteMember:
    """What one member of the bundle learnt."""

    bank: NDArray[np.float32]
    """Pooled normal windows, shape ``(n, pooled_size)``"""
    scores: NDArray[np.float32]
    """Scores of normal windows against a bank without their surroundings, by how
    many of their first units were heard, shape ``(m, units)``; NaN: not known. A row
    is the same window for all members"""

    @property
    def independent(self) -> int:
        """Windows that do not overlap: those that were held out in turn."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Where a site comes from."""

    bundle: str
    """Identifier of the bundle it was learnt with"""
    models: dict[str, str]
    """SHA-256 of the model file of each member, empty without a network"""
    learnt: str
    """When the sound was heard, RFC 3339"""
    seconds: float
    """Seconds of sound that were learnt from"""
    members: dict[str, MemberSpec] = field(default_factory=dict)
    """How each member heard and scored, but for its network"""
    sound: str = ""
    """Folder beside the site that keeps the sound; empty: none was kept"""
    kept_s: float = 0.0
    """Seconds of sound in it: less than `seconds` where it was bounded"""


_INFO = TypeAdapter(SiteInfo)


@dataclass(frozen=True, slots=True)
class Site:
    """What was learnt of one machine."""

    info: SiteInfo
    bands: NDArray[np.float32]
    """Decibel in each group of bands, for each window of the bank: what the
    machine sounds like when it is well, shape ``(n, groups)``"""
    members: dict[str, SiteMember]

    @staticmethod
    def path(state_dir: Path, source: str, bundle: str) -> Path:
        """Where lies what a source learnt with the bundle of that identifier."""
        return state_dir / "sites" / source / (bundle + SUFFIX)

    def save(self, path: Path, disk: Disk | None = None) -> None:
        """Write the site: whole or not at all, also when power fails.

        Parameters
        ----------
        path
            Where; see `path`.
        disk
            What writes.

        Raises
        ------
        SiteError
            The folder cannot be written.
        """
        tensors = {"bands": self.bands}
        for name, member in self.members.items():
            tensors[f"{name}/bank"] = member.bank
            tensors[f"{name}/scores"] = member.scores
        # safetensors writes the memory as it lies, whatever the order of the axes.
        tensors = {name: np.ascontiguousarray(t) for name, t in tensors.items()}
        raw = save(tensors, metadata={"info": _INFO.dump_json(self.info).decode()})
        disk = disk or Disk()
        try:
            disk.make_folders(path.parent)
            disk.write_whole(path, raw)
        except OSError as error:
            raise SiteError(
                f"{path}: cannot be written: {error.strerror}. Give this user the "
                "folder, or set state_dir to one that it may write"
            ) from error

    @classmethod
    def load(cls, path: Path, members: Sequence[Member]) -> "Site":
        """Read a site that was learnt with these members.

        Raises
        ------
        SiteError
            The file is missing, damaged, or of another model.
        """
        info, tensors = _read(path)
        found = {}
        for member in members:
            name = member.spec.name
            for what, then, now in (
                ("model", info.models.get(name), member.model_sha256),
                ("way to score", info.members.get(name), without_network(member.spec)),
            ):
                if then != now:
                    raise SiteError(
                        f"{path}: was learnt with another {what} ({info.bundle}). "
                        "Learn the source again: asd-agent learn"
                    )
            found[name] = SiteMember(
                _tensor(path, tensors, f"{name}/bank", member.pooled_size),
                _scores(path, tensors, f"{name}/scores", member.spec.pooling.units),
            )
        bands = _tensor(path, tensors, "bands", len(members[0].groups))
        if any(len(member.bank) != len(bands) for member in found.values()):
            raise SiteError(f"{path}: its members hold different numbers of windows")
        _check_together(path, [member.scores for member in found.values()])
        return cls(info, bands, found)


def without_network(spec: MemberSpec) -> MemberSpec:
    """How a member hears and scores, whatever its network."""
    return spec.model_copy(update={"embedder": None})


def sites_in(folder: Path) -> list[Path]:
    """Every site of a source, with whichever bundle it was learnt; in order of name.

    Raises
    ------
    SiteError
        Nobody can tell: this user may not look there.
    """
    names = sorted(_names_in(folder))
    return [folder / name for name in names if name.endswith(SUFFIX)]


def anew(path: Path) -> Path:
    """What says that the source of a site shall be learnt anew with its bundle."""
    return path.with_suffix(".anew")


def is_learnt(path: Path) -> bool:
    """Whether the source of a site has learnt something, with whichever bundle.

    A damaged site counts, and so does one of another bundle: such a source must be
    learnt again, and what it hears first is not taken as normal. Where a person has
    asked for just that (`anew`), other bundles do not count.

    Raises
    ------
    SiteError
        Nobody can tell: this user may not look there.
    """
    names = _names_in(path.parent)
    return path.name in names or (
        anew(path).name not in names and any(name.endswith(SUFFIX) for name in names)
    )


def read_info(path: Path) -> SiteInfo:
    """Read where a site comes from, and no more of it.

    Raises
    ------
    SiteError
        The file is missing or damaged.
    """
    return _read(path, whole=False)[0]


def _read(
    path: Path, *, whole: bool = True
) -> tuple[SiteInfo, dict[str, NDArray[np.float32]]]:
    _check_there(path)
    try:
        if path.stat().st_size > MAX_SITE_BYTES:
            raise SiteError(f"{path}: has more than {MAX_SITE_BYTES} bytes")
        with safe_open(path, framework="numpy") as file:
            info = _INFO.validate_json((file.metadata() or {})["info"])
            names = file.keys() if whole else ()
            return info, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise SiteError(
            f"{path}: is damaged ({error}). Move it away and learn the source again"
        ) from error


def _check_there(path: Path) -> None:
    if path.name in _names_in(path.parent):
        return
    if is_learnt(path):
        others = ", ".join(site.stem for site in sites_in(path.parent))
        raise SiteError(
            f"{path}: the source was learnt with another bundle ({others}). "
            "Learn the source again: asd-agent learn"
        )
    raise SiteError(f"{path}: nothing has been learnt yet. Run asd-agent learn")


def _names_in(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise SiteError(
            f"{folder}: cannot be read: {error.strerror}. Give this user the folder, "
            "or set state_dir to one that it may read"
        ) from error


def _tensor(
    path: Path, tensors: dict[str, NDArray[np.float32]], name: str, width: int
) -> NDArray[np.float32]:
    """A tensor of shape ``(n, width)``, n >= 1; a damaged one is refused."""
    found = _shaped(path, tensors, name, width)
    if not np.isfinite(found).all():
        raise _unusable(path, name, found)
    return found


def _scores(
    path: Path, tensors: dict[str, NDArray[np.float32]], name: str, units: int
) -> NDArray[np.float32]:
    """Calibration scores: at least two for windows of one unit."""
    found = _shaped(path, tensors, name, units)
    if np.isinf(found).any() or np.isfinite(found[:, 0]).sum() < 2:
        raise _unusable(path, name, found)
    return found


def _check_together(path: Path, scores: Sequence[NDArray[np.float32]]) -> None:
    """See that the members' calibrations are of the same windows."""
    if len({len(found) for found in scores}) == 1:
        known = np.isfinite([found[:, 0] for found in scores]).all(axis=0)
        if known.sum() >= 2:
            return
    raise SiteError(
        f"{path}: its members were not calibrated with the same windows. "
        "Learn the source again"
    )


def _shaped(
    path: Path, tensors: dict[str, NDArray[np.float32]], name: str, width: int
) -> NDArray[np.float32]:
    if name not in tensors:
        raise SiteError(f"{path}: holds no tensor {name!r}. Learn the source again")
    found = tensors[name]
    shape = (len(found) if found.ndim else 0, width)
    if found.dtype != np.float32 or found.shape != shape or not len(found):
        raise _unusable(path, name, found)
    return found


def _unusable(path: Path, name: str, found: NDArray[np.float32]) -> SiteError:
    return SiteError(
        f"{path}: tensor {name!r}, {found.dtype} of shape {found.shape}, is not "
        "usable. Learn the source again"
    )
