"""How a recipe scores clips: members, detectors of each domain, combination."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from asd_agent.scoring.combine import Combine
from asd_agent.scoring.detector import DetectorSpec, KnnSpec
from asd_agent.scoring.pooling import PoolingSpec

Groups = Literal[8, 24, 64]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScorerSpec(_Model):
    """One member: what it hears with, and what it scores with."""

    name: str = Field("network", pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")
    network: bool = True
    """False: mean and deviation of the levels in groups of bands, no network"""
    groups: Groups = 24
    """Groups of bands where there is no network: coarse, about as many as are heard
    apart, or fine"""
    pooling: PoolingSpec = PoolingSpec()
    source: DetectorSpec = KnnSpec()
    """Scores clips of the source domain by the source clips of their section"""
    target: DetectorSpec | None = None
    """Scores clips of the target domain by all clips of their section; none: as
    `source`. A device has one bank, of all that it learnt, and uses this one"""

    @property
    def of_all(self) -> DetectorSpec:
        """Detector of a bank of both domains."""
        return self.target or self.source


class MachineScoring(_Model):
    """What is different for one machine type."""

    members: tuple[ScorerSpec, ...] = Field(min_length=1, max_length=8)


class ScoringSpec(_Model):
    """From the units of a clip to its score."""

    members: tuple[ScorerSpec, ...] = Field((ScorerSpec(),), min_length=1, max_length=8)
    combine: Combine = "min_p"
    """How several members become one: the smallest p-value, or Fisher's sum"""
    domains: Literal["named", "free"] = "free"
    """`named`: a clip is scored by the detector of its own domain, which the data
    names. `free`: the domain is not used; the bank that finds the clip more
    normal, source or all, decides"""
    machines: dict[str, MachineScoring] = {}
    """Machine types with members of their own"""

    def of(self, machine: str) -> tuple[ScorerSpec, ...]:
        """Members for a machine type."""
        own = self.machines.get(machine)
        return own.members if own else self.members

    @model_validator(mode="after")
    def _names_differ(self) -> "ScoringSpec":
        for members in (self.members, *(m.members for m in self.machines.values())):
            names = [member.name for member in members]
            if len(set(names)) < len(names):
                raise ValueError(f"two members have the same name: {names}")
            if len({member.pooling.units for member in members}) > 1:
                raise ValueError(
                    "members differ in units of a window: all must judge the same"
                )
        return self
