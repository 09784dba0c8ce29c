"""Names and folders of the DCASE Task 2 data sets, and of recordings like them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import SoundError

_SINCE_2021 = re.compile(
    r"section_(?P<section>\d{2})(?:_(?P<domain>source|target))?"
    r"(?:_(?P<split>train|test))?(?:_(?P<label>normal|anomaly))?"
    r"_(?P<number>\d{4,8})(?:_(?P<attributes>.*))?\.(?:wav|flac)"
)
_IN_2020 = re.compile(
    r"(?:(?P<label>normal|anomaly)_)?id_(?P<section>\d{2})_(?P<number>\d{8})"
    r"\.(?:wav|flac)"
)
_SPLITS = {
    "train": "train",
    "test": "test",
    "source_test": "test",
    "target_test": "test",
}
"""Folder of a clip to its split, where the name does not tell it"""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and what its name says."""

    path: Path
    machine: str
    """Machine type: the folder above the split's"""
    section: str
    """Individual, such as ``00``"""
    split: str
    """`train` or `test`"""
    domain: str
    """`source` or `target`; empty where the data has none or hides it"""
    label: str
    """`normal` or `anomaly`; empty where it is hidden"""
    attributes: str
    """The rest of the name, as it stands: some are pairs, some are not"""


def parse(path: Path) -> Clip:
    """Read the name ``<machine>/<split>/<name>.wav``.

    Raises
    ------
    SoundError
        The name is neither of the form of 2020 nor of 2021 and later.
    """
    found = _SINCE_2021.fullmatch(path.name) or _IN_2020.fullmatch(path.name)
    if not found:
        raise SoundError(
            f"{path}: the name is none of DCASE's. Expected "
            "section_00_source_train_normal_0000_<attributes>.wav or "
            "normal_id_00_00000000.wav"
        )
    parts = {key: value or "" for key, value in found.groupdict().items()}
    folder = path.parent.name
    split = parts.get("split") or _SPLITS.get(folder, "")
    if not split:
        raise SoundError(
            f"{path}: neither its name nor its folder {folder!r} says train or test"
        )
    domain = parts.get("domain") or folder.removesuffix("_test")
    return Clip(
        path,
        machine=path.parent.parent.name,
        section=parts["section"],
        split=split,
        domain=domain if domain in ("source", "target") else "",
        label=parts["label"],
        attributes=parts.get("attributes", ""),
    )


def read_folder(
    root: Path, split: str, machines: Iterable[str] = ()
) -> tuple[Clip, ...]:
    """Find the clips of one split below a data set's root.

    Parameters
    ----------
    root : Path
        Holds ``<machine>/<split>/*.wav`` or ``.flac``, at any depth.
    split : str
        `train` or `test`.
    machines : iterable of str
        Take these types alone; none given: all.

    Returns
    -------
    tuple of Clip
        Sorted by path; empty if there are none.

    Raises
    ------
    SoundError
        The folder is not there, or a file in a split's folder has another name.
    """
    if not root.is_dir():
        raise SoundError(f"{root}: there is no such folder of recordings")
    wanted = set(machines)
    clips = []
    for path in sorted(root.rglob("*")):
        inside = path.suffix in (".wav", ".flac") and path.parent.name in _SPLITS
        if not inside or (wanted and path.parent.parent.name not in wanted):
            continue
        clip = parse(path)
        if clip.split == split:
            clips.append(clip)
    return tuple(clips)
