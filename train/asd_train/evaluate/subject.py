"""What is evaluated: a run, a bundle, or a run heard through a bundle's files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import MemberSpec
from asd_agent.bundle.member import Member, open_members
from asd_agent.errors import ConfigError
from asd_train.environment import revision
from asd_train.evaluate.ear import Ear
from asd_train.evaluate.panel import Plan, bundle_plan, plan_of
from asd_train.runs import runs_of
from asd_train.scoring_spec import ScoringSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """What hears and how it scores."""

    name: str
    kind: Literal["run", "bundle"]
    recipe: str
    """Name of the recipe; empty for a bundle"""
    revision: str
    """Revision in git of the software that trained it, or that evaluates a bundle"""
    seed: int | None
    """Of its weights"""
    ears: Mapping[str, Ear]
    """By machine type; one under the empty name is for all"""
    scoring: ScoringSpec | None
    """How clips are scored; None: as the bundle's members say"""
    quantised: bool = False
    """Whether an int8 file hears"""

    def ear(self, machine: str) -> Ear | None:
        """What hears a machine type; None: it is not there for this one."""
        return self.ears.get(machine) or self.ears.get("")

    def plan(self, ear: Ear, machine: str) -> Plan:
        """How the clips of a machine type are judged."""
        if self.scoring is None:
            return bundle_plan(ear)
        return plan_of(ear, self.scoring, machine)

    def scored_by(self, scoring: ScoringSpec | None) -> "Subject":
        """The same with another way to score; None: no change."""
        return replace(self, scoring=scoring) if scoring else self


def is_bundle(path: Path) -> bool:
    """Whether a folder is a bundle, going by what lies in it."""
    return (path / "manifest.json").is_file()


def of_run(path: Path, device: str, random_weights: int | None = None) -> Subject:
    """Evaluate a run, or all runs of a recipe with one a machine type.

    Raises
    ------
    AsdError
        It is not a run, or its weights do not fit.
    """
    runs = runs_of(path)
    first = next(iter(runs.values()))
    trained = random_weights is None
    name = first.recipe.name
    return Subject(
        name=name if trained else f"{name}, random weights",
        kind="run",
        recipe=name,
        revision=first.info.revision,
        seed=first.info.seed if trained else random_weights,
        ears={
            machine: Ear.of_run(run, device, random_weights)
            for machine, run in runs.items()
        },
        scoring=first.recipe.scoring,
    )


def of_bundle(path: Path, file: str | None) -> Subject:
    """Evaluate a bundle as a device has it; `file` as in `open_file`.

    Raises
    ------
    AsdError
        It is not a bundle, or this device cannot run that file of it.
    """
    bundle, members = open_file(path, file)
    manifest = bundle.manifest
    seed = manifest.training.get("seed")
    return Subject(
        name=manifest.id,
        kind="bundle",
        recipe=str(manifest.training.get("recipe", "")),
        revision=str(manifest.training.get("revision", "")) or revision(),
        seed=seed if isinstance(seed, int) else None,
        ears={"": Ear.of(members)},
        scoring=None,
        quantised=_is_quantised(members),
    )


def through_bundle(run: Subject, path: Path, file: str) -> Subject:
    """Hear with a bundle's file what the run's recipe then scores.

    Raises
    ------
    ConfigError
        The run has a network for each machine type, a bundle one for all.
    """
    if "" not in run.ears:
        raise ConfigError(
            f"{run.name} has a network for each machine type and a bundle only one: "
            "give one of the runs in its folder"
        )
    members = open_file(path, file)[1]
    ears = {"": Ear.of([m for m in members if m.embedder is not None] or members)}
    return replace(run, ears=ears, quantised=_is_quantised(members))


def open_file(path: Path, file: str | None) -> tuple[Bundle, list[Member]]:
    """Open a bundle's members with the files of a runtime, a precision, or both.

    `file` is such as ``int8`` or ``onnx-float32``; None: what a device takes.

    Raises
    ------
    ConfigError
        The bundle has no such file.
    """
    bundle = Bundle.open(path)
    if file is None:
        return bundle, open_members(bundle)
    wanted = set(file.split("-"))
    specs = tuple(_narrowed(spec, wanted) for spec in bundle.manifest.members)
    manifest = bundle.manifest.model_copy(update={"members": specs})
    return bundle, open_members(Bundle(path, manifest))


def _narrowed(spec: MemberSpec, wanted: set[str]) -> MemberSpec:
    if spec.embedder is None:
        return spec
    models = tuple(
        m for m in spec.embedder.models if wanted <= {m.runtime, m.precision}
    )
    if not models:
        there = ", ".join(f"{m.runtime}-{m.precision}" for m in spec.embedder.models)
        raise ConfigError(
            f"the bundle has no {'-'.join(sorted(wanted, reverse=True))} file for "
            f"{spec.name}, only {there}: build it with one, or give another --file"
        )
    embedder = spec.embedder.model_copy(update={"models": models})
    return spec.model_copy(update={"embedder": embedder})


def _is_quantised(members: list[Member]) -> bool:
    embedders = [m.embedder for m in members if m.embedder is not None]
    return any(embedder.model.precision == "int8" for embedder in embedders)
