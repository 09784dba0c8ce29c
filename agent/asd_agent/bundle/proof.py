"""What testing a bundle on this device has shown."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from asd_agent.errors import BundleError

NAMES = {
    "loads": "the file loads",
    "features": "features",
    "vector": "unit vectors",
    "pooled": "pooled vectors",
    "score": "scores",
    "p_value": "p-values",
}
"""What is compared, in words"""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of number, computed here and compared with the builder's."""

    member: str
    file: str
    """Model file; empty without a network"""
    library: str
    """What computed it, such as ``onnxruntime 1.31.1``"""
    what: str
    """A key of `NAMES`"""
    difference: float
    """Largest one; NaN: nothing came out that could be compared"""
    allowed: float
    note: str = ""
    """Why the file does not load"""

    @property
    def ok(self) -> bool:
        """Whether it is within what the bundle allows; NaN never is."""
        return self.difference <= self.allowed


@dataclass(frozen=True, slots=True)
class Proof:
    """Every number that was compared."""

    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether all of them agree."""
        return all(row.ok for row in self.rows)

    def require(self) -> None:
        """Refuse a bundle of which a number differs.

        Raises
        ------
        BundleError
            With the reason ``differs``, ``not_finite`` where a network gives what is
            not a number, or ``broken`` where a file does not load.
        """
        for row in self.rows:
            if row.note:
                raise BundleError(row.note)
            if not row.ok:
                raise BundleError(
                    f"golden.safetensors: {NAMES[row.what]} of {_subject(row)} differ "
                    f"by {row.difference:.2g} on this device, at most "
                    f"{row.allowed:.2g} is allowed: this bundle would score "
                    "differently here. Try another bundle.runtime, or build the "
                    "bundle again",
                    "differs" if math.isfinite(row.difference) else "not_finite",
                )

    def lines(self) -> Iterator[str]:
        """Lay it out for the terminal."""
        rows = [_cells(row) for row in self.rows]
        table = [("model", "runs with", "compared", "differs by", "allowed", ""), *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for cells in table:
            pairs = zip(cells, widths, strict=True)
            yield "  ".join(cell.ljust(width) for cell, width in pairs).rstrip()


def _subject(row: Row) -> str:
    return row.file if row.file and row.what != "features" else row.member


def _cells(row: Row) -> tuple[str, ...]:
    name = f"{row.member} {row.file}".rstrip()
    difference = f"{row.difference:.2g}"
    verdict = "ok" if row.ok else "DIFFERS"
    return name, row.library, row.what, difference, f"{row.allowed:.2g}", verdict
