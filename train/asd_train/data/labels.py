"""Any recordings, described by a table: ``labels.csv`` at the root."""

import csv
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from asd_agent.errors import SoundError
from asd_train.data.names import Clip

NAME = "labels.csv"
_ALLOWED = {
    "split": ("train", "test"),
    "domain": ("source", "target", ""),
    "label": ("normal", "anomaly", ""),
}


def read_labels(root: Path) -> list[Clip]:
    """Read the clips that ``labels.csv`` lists.

    Its columns are ``path,machine,section,split,domain,label,attributes``, in any
    order; further ones are passed over. Only `path`, relative to the root, is needed.
    Where a cell is empty or the column is missing: `machine` is the file's folder,
    `section` is ``00``, `split` is `test` for an anomaly and otherwise `train`,
    `label` is `normal` in `train` and hidden in `test`.

    Raises
    ------
    SoundError
        The table cannot be read, or a line of it is not valid.
    """
    table = root / NAME
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [str(name).strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            lines = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SoundError(f"{table}: not a readable table: {error}") from error
    if "path" not in columns:
        raise SoundError(
            f"{table}: no column path, only {', '.join(columns) or 'none'}. The first "
            "line must be path,machine,section,split,domain,label,attributes or less"
        )
    clips: dict[Path, Clip] = {}
    for number, row in lines:
        cells = {key: (value or "").strip() for key, value in row.items() if key}
        clip = _clip(root, cells, f"{table}, line {number}")
        if clip.path in clips:
            raise SoundError(f"{table}, line {number}: {cells['path']} is there twice")
        clips[clip.path] = clip
    return [clips[path] for path in sorted(clips)]


def _clip(root: Path, cells: Mapping[str, str], place: str) -> Clip:
    text = cells["path"]
    relative = PurePosixPath(text)
    outside = relative.is_absolute() or ".." in relative.parts
    if not relative.name or outside or not text.isprintable():
        raise SoundError(
            f"{place}: path {text!r} must name a file below the folder of the table, "
            "such as fan/0001.wav"
        )
    path = root / relative
    label = cells.get("label", "")
    split = cells.get("split") or ("test" if label == "anomaly" else "train")
    if not label and split == "train":
        label = "normal"
    found = {"split": split, "domain": cells.get("domain", ""), "label": label}
    for key, value in found.items():
        if value not in _ALLOWED[key]:
            allowed = ", ".join(v or "(empty)" for v in _ALLOWED[key])
            raise SoundError(f"{place}: {key} {value!r} is none of {allowed}")
    machine = cells.get("machine") or path.parent.name
    section = cells.get("section") or "00"
    for key, value in {"machine": machine, "section": section}.items():
        if not value or "/" in value or not value.isprintable():
            raise SoundError(f"{place}: {key} {value!r} must be a word without /")
    return Clip(
        path,
        machine,
        section,
        split,
        domain=found["domain"],
        label=label,
        attributes=cells.get("attributes", ""),
    )
