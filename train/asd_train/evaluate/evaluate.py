"""Hears the clips of a data set, judges them section by section, counts."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from asd_agent.errors import SoundError
from asd_agent.features import FeatureSpec
from asd_agent.hearing import Heard
from asd_train.data.dcase import Clip
from asd_train.data.reading import AS_FOUND, Reading
from asd_train.evaluate import output
from asd_train.evaluate.cache import Store, file_of, heard_of
from asd_train.evaluate.ear import STATISTICS, Ear
from asd_train.evaluate.figures import Table, summarise
from asd_train.evaluate.hear import hear_all
from asd_train.evaluate.panel import Plan, plan_of, statistics_alone
from asd_train.evaluate.protocol import guess_year, rules
from asd_train.evaluate.section import Scored, judge_section
from asd_train.evaluate.subject import Subject
from asd_train.scoring_spec import ScoringSpec

_LOG = logging.getLogger(__name__)

Summary = dict[str, Any]
"""Contents of ``evaluation.json``"""


@dataclass(frozen=True, slots=True)
class Order:
    """What to evaluate on, and where to write."""

    data: Path
    """Folder of recordings"""
    out: Path
    cache: Path
    """Folder of what was heard"""
    now: datetime
    """Written down as the time of the evaluation"""
    year: int | None = None
    """Whose rules hold; None: those that fit the names and folders"""
    machines: tuple[str, ...] = ()
    """Machine types; none: all"""
    reading: Reading = AS_FOUND
    """How the folder is read"""
    reference: bool = True
    """Whether the statistics without a network are evaluated beside it"""
    jobs: int = 1
    """Threads that read recordings"""
    seed: int = 1
    """Of the replicates that intervals are taken from"""


@dataclass(frozen=True, slots=True)
class Part:
    """Clips of one section."""

    machine: str
    section: str
    train: tuple[Clip, ...]
    test: tuple[Clip, ...]


def evaluate(subject: Subject, order: Order) -> Summary:
    """Evaluate, write all files of the evaluation and return its summary.

    Raises
    ------
    AsdError
        The recordings cannot be used, or the subject does not fit them.
    """
    # All ears are of one recipe or bundle: their units are equally long.
    first = next(iter(subject.ears.values()))
    parts = parts_of(order, first.members[0].spec.features)
    year = order.year or guess_year(clip for part in parts for clip in part.test)
    by = rules(year)
    scored: list[Scored] = []
    tables: list[Table] = []
    beside: list[Table] = []
    edges = np.zeros((0, 2), np.float32)
    for machine, of_machine in _grouped(parts):
        ear = subject.ear(machine)
        if ear is None:
            _LOG.warning("no run is of machine type %s: it is left out", machine)
            continue
        plan = subject.plan(ear, machine)
        store = _store(ear, machine, of_machine, order)
        edges = _edges_hz(ear)
        for part in tqdm(of_machine, f"judging {machine}", unit="section", leave=False):
            found = judge_section(plan, part.train, part.test, store)
            scored += found
            tables.append(_table(part, found))
            if _wants_reference(order, plan):
                plain = _reference(ear, plan, subject.scoring)
                found = judge_section(plain, part.train, part.test, store)
                beside.append(_table(part, found))
    if not tables:
        raise SoundError(f"{order.data}: no machine type that {subject.name} is of")
    summary = _described(subject, order, year) | summarise(tables, by, order.seed)
    if beside:
        summary["reference"] = {
            STATISTICS: summarise(beside, by, order.seed)["overall"]
        }
    output.write(order.out, summary, scored, root=order.data, edges_hz=edges)
    return summary


def parts_of(order: Order, spec: FeatureSpec) -> list[Part]:
    """Sections with test clips, by machine type and number.

    Parameters
    ----------
    order : Order
    spec : FeatureSpec
        A clip must have one of its units.

    Raises
    ------
    SoundError
        There is no test clip, or a section has nothing to learn from.
    """
    clips = [
        clip
        for split in ("train", "test")
        for clip in order.reading.clips(order.data, split, order.machines)
        if split == "test" or clip.label != "anomaly"
    ]
    found = order.reading.usable(clips, spec)
    train = [clip for clip in found if clip.split == "train"]
    test = [clip for clip in found if clip.split == "test"]
    names = sorted({(clip.machine, clip.section) for clip in test})
    if not names:
        raise SoundError(
            f"{order.data}: no test clips"
            f"{' of ' + ', '.join(order.machines) if order.machines else ''}; expected "
            "<machine>/test/*.wav beside <machine>/train, see docs/training.md"
        )
    parts = [Part(*name, _of(train, name), _of(test, name)) for name in names]
    for part in parts:
        if not part.train:
            raise SoundError(
                f"{order.data}: {part.machine}, section {part.section} has test clips "
                "and no training clips to learn from: add its train folder"
            )
    return parts


def _of(clips: Iterable[Clip], name: tuple[str, str]) -> tuple[Clip, ...]:
    return tuple(clip for clip in clips if (clip.machine, clip.section) == name)


def _grouped(parts: Sequence[Part]) -> Iterator[tuple[str, list[Part]]]:
    for machine in dict.fromkeys(part.machine for part in parts):
        yield machine, [part for part in parts if part.machine == machine]


def _store(ear: Ear, machine: str, parts: Sequence[Part], order: Order) -> Store:
    clips = [clip for part in parts for clip in (*part.test, *part.train)]

    def hear(missing: Iterable[Clip]) -> Iterator[list[Heard]]:
        found = list(missing)
        heard = hear_all(ear, found, order.jobs)
        return iter(
            tqdm(
                heard,
                f"hearing {machine}",
                total=len(found),
                unit="clip",
                leave=False,
                disable=None if found else True,
            )
        )

    return heard_of(
        clips,
        hear,
        path=file_of(order.cache, ear.sha256, machine),
        sizes=[member.size for member in ear.members],
        groups=len(ear.members[0].groups),
    )


def _table(part: Part, scored: Sequence[Scored]) -> Table:
    tests = [s for s in scored if s.clip.split == "test"]
    deaf = sum(not np.isfinite(s.score) for s in tests)
    if deaf:
        _LOG.warning(
            "%s, section %s: nothing can be heard in %s test clips; they do not count",
            part.machine,
            part.section,
            deaf,
        )
    return Table.of(part.machine, part.section, tests)


def _wants_reference(order: Order, plan: Plan) -> bool:
    members = plan.of_all.members
    return order.reference and any(m.embedder is not None for m in members)


def _reference(ear: Ear, plan: Plan, scoring: ScoringSpec | None) -> Plan:
    """Judge by the statistics alone, as the same recipe treats domains."""
    units = plan.of_all.members[0].spec.pooling.units
    spec = ScoringSpec(
        members=(statistics_alone(units),),
        domains=scoring.domains if scoring else "free",
    )
    return plan_of(ear, spec, "")


def _edges_hz(ear: Ear) -> NDArray[np.float32]:
    groups = ear.members[0].groups
    spectrum = groups.spectrum(np.zeros(len(groups), np.float32))
    return np.stack([spectrum.lo_hz, spectrum.hi_hz], axis=1).astype(np.float32)


def _described(subject: Subject, order: Order, year: int) -> Summary:
    return {
        "format": 1,
        "name": subject.name,
        "kind": subject.kind,
        "recipe": subject.recipe,
        "revision": subject.revision,
        "data": order.data.resolve().name,
        "protocol": year,
        "quantised": subject.quantised,
        "seed": subject.seed,
        "created": order.now.isoformat(timespec="seconds"),
    }
