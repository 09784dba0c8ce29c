"""Which records of Zenodo hold the data sets of DCASE Task 2."""

from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from asd_agent.errors import ConfigError

Part = Literal["dev", "additional", "eval", "truth"]
PARTS: tuple[Part, ...] = ("dev", "additional", "eval", "truth")
FOLDERS = {
    "dev": "dev_data/raw",
    "additional": "eval_data/raw",
    "eval": "eval_data/raw",
    "truth": "truth",
}
"""Folder of a data set that the files of a part are unpacked to"""


class Entry(BaseModel):
    """One record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: int = Field(ge=2020)
    """Year of the challenge"""
    part: Part
    """`dev`, `additional` (training data of the evaluation machines), `eval` (their
    test recordings) or `truth` (the labels of these)"""
    record: int = Field(gt=0)
    """Number on Zenodo"""
    licence: str
    """What is known without asking; the record's own statement counts"""

    @property
    def page(self) -> str:
        """Address of the record."""
        return f"https://zenodo.org/records/{self.record}"


def catalogue() -> tuple[Entry, ...]:
    """All records, by year and part."""
    text = resources.files("asd_train.data").joinpath("catalogue.yaml").read_text()
    return tuple(Entry.model_validate(row) for row in yaml.safe_load(text))


def entries(year: int, parts: tuple[str, ...] = ()) -> tuple[Entry, ...]:
    """Records of the parts of one year; no part given: all.

    Raises
    ------
    ConfigError
        The year, or a part of it, is not in the catalogue.
    """
    of_year = {entry.part: entry for entry in catalogue() if entry.year == year}
    if not of_year:
        years = sorted({entry.year for entry in catalogue()})
        raise ConfigError(
            f"year {year} is not in the catalogue, which has {years[0]} to {years[-1]}"
        )
    missing = [part for part in parts if part not in of_year]
    if missing:
        raise ConfigError(
            f"part {missing[0]!r} of {year} is not in the catalogue, which has "
            f"{', '.join(of_year)}"
        )
    return tuple(entry for part, entry in of_year.items() if part in parts or not parts)
