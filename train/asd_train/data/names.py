"""Names of the recordings of DCASE Task 2, of all years."""

import re
from dataclasses import dataclass
from pathlib import Path

from asd_agent.errors import SoundError

_SINCE_2021 = re.compile(
    r"section_(?P<section>\d{2})(?:_(?P<domain>source|target))?"
    r"(?:_(?P<split>train|test))?(?:_(?P<label>normal|anomaly))?"
    r"_(?P<number>\d{4,8})(?:_(?P<attributes>[^\x00-\x1f\x7f]*))?"
    r"\.(?:wav|flac|WAV|FLAC)",
    re.ASCII,
)
_IN_2020 = re.compile(
    r"(?:(?P<label>normal|anomaly)_)?id_(?P<section>\d{2})_(?P<number>\d{8})"
    r"\.(?:wav|flac|WAV|FLAC)",
    re.ASCII,
)
_YEAR = re.compile(r"dcase[ _-]?(20\d\d)", re.ASCII | re.IGNORECASE)

SPLITS = {
    "train": "train",
    "test": "test",
    "source_test": "test",
    "target_test": "test",
    "test_rename": "test",
}
"""Folder of a clip to its split, where the name does not tell it"""


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and what its name, its folder or a table says of it."""

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
    year: int = 0
    """Year of the challenge; 0: not known"""
    channel: int = 0
    """Channel to read, from 0; in the stereo data of 2026, 0 is the near one"""


def is_dcase(name: str) -> bool:
    """Whether a file name has a form that the challenge has used."""
    return bool(_SINCE_2021.fullmatch(name) or _IN_2020.fullmatch(name))


def parse(path: Path) -> Clip:
    """Read the name ``<machine>/<split>/<name>.wav``.

    The forms are those of 2020 (``normal_id_01_00000000.wav``) and of 2021 and later
    (``section_00_source_train_normal_0000_<attributes>.wav``), each also without what
    an evaluation set hides. Attributes stay as they stand: of some years' names they
    are no pairs (``noAttribute``), and the ``_.wav`` of 2026 has none.

    The year is 2020 for a name of that year. Otherwise it is that of the nearest
    folder with ``dcase20nn`` in its name, 2021 in the folders `source_test` and
    `target_test` (no other year has them), or 0.

    Raises
    ------
    SoundError
        The name is of no such form, or nothing says train or test.
    """
    found = _SINCE_2021.fullmatch(path.name) or _IN_2020.fullmatch(path.name)
    if not found:
        raise SoundError(
            f"{_shown(path)}: the name is none of DCASE's. Expected "
            "section_00_source_train_normal_0000_<attributes>.wav or "
            "normal_id_00_00000000.wav; of other recordings labels.csv tells"
        )
    parts = {key: value or "" for key, value in found.groupdict().items()}
    folder = path.parent.name
    split = parts.get("split") or SPLITS.get(folder, "")
    if not split:
        raise SoundError(
            f"{_shown(path)}: neither its name nor its folder {folder!r} says train "
            "or test"
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
        year=2020 if found.re is _IN_2020 else _year(path),
    )


def _year(path: Path) -> int:
    """Year of a name of 2021 or later."""
    if path.parent.name in ("source_test", "target_test"):
        return 2021
    for folder in reversed(path.parent.parts):
        found = _YEAR.search(folder)
        if found and int(found[1]) > 2020:
            return int(found[1])
    return 0


def _shown(path: Path) -> str:
    """Path on one line, whatever is in it."""
    text = str(path)
    return text if text.isprintable() else repr(text)
