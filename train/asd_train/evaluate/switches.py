"""What an ablation turns off or swaps, one at a time: a table of rows.

Those of training leave a network of their own; those of scoring share the base's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from asd_agent.errors import ConfigError
from asd_agent.scoring.detector import (
    DetectorSpec,
    KnnSpec,
    LofSpec,
    MahalanobisSpec,
    MinimumSpec,
)
from asd_train.evaluate.panel import only
from asd_train.recipe import Recipe
from asd_train.scoring_spec import ScorerSpec, ScoringSpec

BASE = "base"
"""Name of the row that all others are compared with"""


@dataclass(frozen=True, slots=True)
class Row:
    """One change to a recipe."""

    name: str
    text: str
    """What is different, for the table"""
    training: Mapping[str, Any] | None = None
    """Values that are laid over the recipe's"""
    scoring: Callable[[ScoringSpec], ScoringSpec] | None = None
    """What becomes of the recipe's scoring"""
    losses: tuple[str, ...] = ()
    """Kinds of loss that it makes a difference to; none: all"""

    def of(self, recipe: Recipe) -> Recipe | None:
        """The changed recipe; None where the change makes no difference.

        Raises
        ------
        ConfigError
            The recipe cannot be changed so; the text says why.
        """
        if self.losses and recipe.loss.kind not in self.losses:
            return None
        try:
            values = laid_over(recipe.model_dump(mode="json"), self.training or {})
            changed = Recipe.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{self.name}: {error.errors()[0]['msg']}") from error
        if self.scoring:
            scoring = self.scoring(changed.scoring)
            changed = changed.model_copy(update={"scoring": scoring})
        return None if changed == recipe else changed


def laid_over(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Replace values by those of `over`, mappings key by key."""
    merged = dict(values)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = laid_over(below, value)
        else:
            merged[key] = value
    return merged


Change = Callable[[ScorerSpec], ScorerSpec]


def _each(change: Change) -> Callable[[ScoringSpec], ScoringSpec]:
    """Change every member that has a network, of every machine type."""

    def change_all(members: tuple[ScorerSpec, ...]) -> tuple[ScorerSpec, ...]:
        return tuple(change(m) if m.network else m for m in members)

    def changed(spec: ScoringSpec) -> ScoringSpec:
        machines = {
            name: own.model_copy(update={"members": change_all(own.members)})
            for name, own in spec.machines.items()
        }
        update = {"members": change_all(spec.members), "machines": machines}
        return spec.model_copy(update=update)

    return changed


def _with(detector: DetectorSpec) -> Callable[[ScoringSpec], ScoringSpec]:
    """Score both domains with this detector."""
    return _each(lambda m: m.model_copy(update={"source": detector, "target": None}))


def _without_density(member: ScorerSpec) -> ScorerSpec:
    def plain(detector: DetectorSpec) -> DetectorSpec:
        if isinstance(detector, KnnSpec):
            return detector.model_copy(update={"density": 0})
        return detector

    target = member.target and plain(member.target)
    return member.model_copy(update={"source": plain(member.source), "target": target})


def _network_alone(spec: ScoringSpec) -> ScoringSpec:
    names = [member.name for member in spec.members if member.network]
    return only(spec, names) if names else spec


def _without_network(spec: ScoringSpec) -> ScoringSpec:
    names = [member.name for member in spec.members if not member.network]
    return only(spec, names) if names else spec


def _combined_by_least(spec: ScoringSpec) -> ScoringSpec:
    return spec.model_copy(update={"combine": "min_p"})


ROWS = (
    Row("arcface", "ArcFace for the head", {"loss": {"kind": "arcface"}}),
    Row("adacos", "one centre a class (AdaCos)", {"loss": {"kind": "adacos"}}),
    Row(
        "fixed_centres",
        "centres stay as drawn",
        {"loss": {"trainable": False}},
        losses=("adacos", "subcluster_adacos"),
    ),
    Row("no_mixup", "no mixup", {"augment": {"mixup": 0.0}}),
    Row("sections", "classes are individuals alone", {"classes": "section"}),
    Row(
        "mobilefacenet",
        "MobileFaceNet for the network",
        {"network": {"name": "mobilefacenet", "centred": False}},
    ),
    Row("uncentred", "temporal mean kept", {"network": {"centred": False}}),
    Row("knn", "nearest neighbour, plain", scoring=_with(KnnSpec())),
    Row(
        "density",
        "nearest neighbour by local density",
        scoring=_with(KnnSpec(density=4)),
    ),
    Row("no_density", "no local density", scoring=_each(_without_density)),
    Row("kmeans16", "16 k-means centroids", scoring=_with(KnnSpec(centroids=16))),
    Row("lof", "local outlier factor", scoring=_with(LofSpec())),
    Row("mahalanobis", "Mahalanobis distance", scoring=_with(MahalanobisSpec())),
    Row(
        "minimum",
        "least of k-NN, LOF and Mahalanobis",
        scoring=_with(MinimumSpec(parts=(KnnSpec(), LofSpec(), MahalanobisSpec()))),
    ),
    Row(
        "statistics",
        "statistics in 24 groups alone, no network",
        scoring=lambda spec: only(spec, ["statistics"]),
    ),
    Row("no_network", "all members without a network", scoring=_without_network),
    Row("network", "network alone", scoring=_network_alone),
    Row("min_p", "smallest p-value decides", scoring=_combined_by_least),
)
"""All switches, in the order of the table"""


def chosen(names: tuple[str, ...]) -> tuple[Row, ...]:
    """Rows by name; none given: all.

    Raises
    ------
    ConfigError
        There is no such row.
    """
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise ConfigError(f"no row {name!r}: give some of {', '.join(known)}")
    return tuple(row for row in ROWS if not names or row.name in names)
