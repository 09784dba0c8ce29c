"""Attribute tables of DCASE Task 2, ``attributes_00.csv`` beside the recordings."""

import csv
from pathlib import Path

from asd_agent.errors import SoundError
from asd_train.data.names import Clip

Rows = dict[tuple[str, str], str]
"""Folder of the split and stem of a name, to attributes"""


class AttributeTables:
    """Looks up the attributes of clips whose names carry none.

    The tables came in 2022. One that is missing is no error, because nearly all names
    carry their attributes, and it is read only when a name does not. One that is
    needed and broken is an error: without it clips would fall into other classes.
    """

    def __init__(self) -> None:
        self._tables: dict[Path, Rows] = {}

    def find(self, clip: Clip) -> str:
        """Attributes as ``key_value_key_value``; empty if no table has the clip.

        Raises
        ------
        SoundError
            The table cannot be read.
        """
        path = clip.path.parent.parent / f"attributes_{clip.section}.csv"
        if path not in self._tables:
            self._tables[path] = read_table(path) if path.is_file() else {}
        return self._tables[path].get((clip.path.parent.name, clip.path.stem), "")


def read_table(path: Path) -> Rows:
    """Read one table: ``file_name``, then ``d1p,d1v,d2p,d2v`` and so on.

    ``d1p`` is the name of the first attribute, ``d1v`` its value. A part that is
    empty is left out.

    Raises
    ------
    SoundError
        It is no such table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [str(name).strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [{k: v for k, v in row.items() if k} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SoundError(
            f"{path}: not a readable table of attributes ({error}). Unpack the data "
            "set anew, or remove the table to do without attributes"
        ) from error
    if "file_name" not in columns:
        raise SoundError(
            f"{path}: no column file_name, only {', '.join(columns) or 'none'}. "
            "Unpack the data set anew, or remove the table to do without attributes"
        )
    pairs = [
        name
        for number in range(1, len(columns))
        for name in (f"d{number}p", f"d{number}v")
        if name in columns
    ]
    table: Rows = {}
    for row in rows:
        name = Path((row["file_name"] or "").strip())
        cells = ((row[column] or "").strip() for column in pairs)
        table[name.parent.name, name.stem] = "_".join(c for c in cells if c)
    return table
