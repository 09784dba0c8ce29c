"""What ``evaluation.json`` says: figures of merit of sections, machines, the whole."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Interval = tuple[float, float]
"""Low and high end of a 95 % confidence interval"""


class _Model(BaseModel):
    # A later evaluator may say more; what is known here must still be right.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Row(_Model):
    """One section in one domain."""

    machine: str
    section: str
    domain: Literal["source", "target", "all"]
    auc: float | None = Field(None, ge=0, le=1)
    pauc: float | None = Field(None, ge=0, le=1)
    """Up to a false-positive rate of 0.1, standardised: 0.5 is chance"""
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    f1_ev: float | None = None
    """F1-EV (arXiv:2312.09143)"""
    threshold: float | None = None
    """Score above which a clip is called anomalous"""
    normal: int = 0
    """Clips"""
    anomalous: int = 0
    """Clips"""
    auc_ci: Interval | None = None
    pauc_ci: Interval | None = None


class Pair(_Model):
    """Mean of AUC and of pAUC over sections and domains."""

    auc: float | None = None
    pauc: float | None = None


class Means(_Model):
    """Both ways to average."""

    arithmetic: Pair = Pair()
    harmonic: Pair = Pair()


class MachineMeans(Means):
    """Means of one machine type."""

    machine: str


class Overall(Means):
    """Means over all machine types, and the score of the challenge."""

    official: float | None = None
    """Official score of the protocol, 0 to 1"""
    official_ci: Interval | None = None


class Summary(_Model):
    """The whole file."""

    format: Literal[1]
    name: str
    kind: Literal["run", "bundle"] = "run"
    recipe: str = ""
    revision: str = ""
    """Revision of this software in git"""
    data: str = ""
    """Name of the folder of recordings"""
    protocol: int
    """Year of the DCASE challenge whose rules were followed"""
    quantised: bool = False
    seed: int | None = None
    created: str = ""
    sections: tuple[Row, ...] = Field(min_length=1)
    machines: tuple[MachineMeans, ...] = ()
    overall: Overall = Overall()
    reference: dict[str, Overall] = {}
    """What simpler ways reach on the same clips, such as `statistics`"""

    @property
    def types(self) -> tuple[str, ...]:
        """Machine types, in the order of the rows."""
        return tuple(dict.fromkeys(row.machine for row in self.sections))

    def sections_of(self, machine: str) -> tuple[str, ...]:
        """Sections of a machine type, in the order of the rows."""
        rows = (row for row in self.sections if row.machine == machine)
        return tuple(dict.fromkeys(row.section for row in rows))

    def row(self, machine: str, section: str, domain: str) -> Row | None:
        """The row of a section in a domain, if there is one."""
        wanted = (machine, section, domain)
        found = (r for r in self.sections if (r.machine, r.section, r.domain) == wanted)
        return next(found, None)
