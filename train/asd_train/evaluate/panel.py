"""Members that judge together, made of what hears and of how a recipe scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.member import Member
from asd_agent.errors import ConfigError
from asd_agent.hearing import Heard
from asd_agent.scoring.combine import Combine
from asd_agent.scoring.detector import DetectorSpec, MahalanobisSpec
from asd_agent.scoring.pooling import PoolingSpec
from asd_train.evaluate.ear import GROUPS, STATISTICS, Ear
from asd_train.scoring_spec import ScorerSpec, ScoringSpec


@dataclass(frozen=True, slots=True)
class Panel:
    """Members that judge the same windows."""

    members: tuple[Member, ...]
    ears: tuple[int, ...]
    """Place of the member of the ear whose vectors each takes"""

    def heard(self, units: Sequence[Heard]) -> list[Heard]:
        """Give each member its vectors of what the ear heard."""
        return [
            replace(unit, vectors=tuple(unit.vectors[ear] for ear in self.ears))
            if unit.vectors
            else unit
            for unit in units
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """How the clips of one machine type are judged."""

    of_all: Panel
    """Judges by all clips of a section, as a device does"""
    of_source: Panel | None
    """Judges by those of the source domain; None: there is one bank alone"""
    named: bool
    """Whether a test clip's own domain chooses the bank; else the bank that finds
    the clip more normal does"""


def plan_of(ear: Ear, scoring: ScoringSpec, machine: str) -> Plan:
    """Judge as a recipe says.

    Raises
    ------
    ConfigError
        A member asks for a network and the ear has none.
    """
    specs = scoring.of(machine)
    return Plan(
        _panel(ear, specs, scoring.combine, [spec.of_all for spec in specs]),
        _panel(ear, specs, scoring.combine, [spec.source for spec in specs]),
        scoring.domains == "named",
    )


def bundle_plan(ear: Ear) -> Plan:
    """Judge as the members of a bundle themselves say: by one bank."""
    own = ear.members[: -len(GROUPS)]
    return Plan(Panel(own, tuple(range(len(own)))), None, False)


def only(scoring: ScoringSpec, names: Sequence[str]) -> ScoringSpec:
    """Keep these members of every machine type; `statistics` is always known.

    Raises
    ------
    ConfigError
        There is no such member.
    """

    def kept(members: tuple[ScorerSpec, ...]) -> tuple[ScorerSpec, ...]:
        known = {member.name: member for member in members}
        known.setdefault(STATISTICS, statistics_alone(members[0].pooling.units))
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                f"no member {unknown[0]!r} to score with; there are {', '.join(known)}"
            )
        return tuple(known[name] for name in names)

    machines = {
        machine: own.model_copy(update={"members": kept(own.members)})
        for machine, own in scoring.machines.items()
    }
    return scoring.model_copy(
        update={"members": kept(scoring.members), "machines": machines}
    )


def statistics_alone(units: int) -> ScorerSpec:
    """The detector without a network that every network is to be compared with."""
    return ScorerSpec(
        name=STATISTICS,
        network=False,
        pooling=PoolingSpec(kind="both", units=units, unit_norm=False),
        source=MahalanobisSpec(),
    )


def _panel(
    ear: Ear,
    specs: Sequence[ScorerSpec],
    combine: Combine,
    detectors: Sequence[DetectorSpec],
) -> Panel:
    places = [_place(ear, spec) for spec in specs]
    members = []
    for spec, place, detector in zip(specs, places, detectors, strict=True):
        listening = ear.members[place]
        own = MemberSpec(
            name=spec.name,
            features=listening.spec.features,
            embedder=listening.spec.embedder,
            groups=spec.groups,
            pooling=spec.pooling,
            detector=detector,
        )
        members.append(replace(listening, spec=own, combine=combine))
    return Panel(tuple(members), tuple(places))


def _place(ear: Ear, spec: ScorerSpec) -> int:
    """Place of the member of the ear that a scorer takes its vectors from."""
    if not spec.network:
        return len(ear.members) - len(GROUPS) + GROUPS.index(spec.groups)
    for place, member in enumerate(ear.members):
        if member.embedder is not None:
            return place
    raise ConfigError(
        f"member {spec.name!r} asks for a network, and there is none: "
        "take --members statistics"
    )
