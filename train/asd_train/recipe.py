"""A recipe: everything that decides what a training run makes of its data."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_agent.errors import ConfigError
from asd_agent.features import FeatureSpec
from asd_train.augment import AugmentSpec
from asd_train.losses import LossSpec
from asd_train.models.network import NetworkSpec
from asd_train.scoring_spec import ScoringSpec


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingSpec(_Model):
    """How long and how fast the network learns."""

    steps: int = Field(ge=1)
    """Batches"""
    batch: int = Field(64, ge=2)
    """Units in a batch"""
    learning_rate: float = Field(1e-3, gt=0)
    """AdamW's, after the warm-up"""
    final_rate: float = Field(0.1, ge=0, le=1)
    """Part of the learning rate that is left at the end"""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Part of the training in which the rate rises from 0"""
    weight_decay: float = Field(1e-4, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's arithmetic on a GPU (autocast); weights stay float32"""
    compile: bool = False
    """Whether torch compiles the network first: minutes, then faster on a GPU"""
    checkpoint_steps: int = Field(200, ge=1)
    """Batches from one checkpoint to the next"""
    seed: int = Field(1, ge=0)


class Recipe(_Model):
    """The whole file.

    A file may also say ``base: NAME``: the values of another recipe, a packaged
    one or a file, hold where this one says nothing.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    summary: str
    """One line for ``asd-train recipes``"""
    licence: str = "Apache-2.0"
    """Licence of the weights; that of the recordings may ask for another"""
    machines: tuple[str, ...] = ()
    """Machine types to train on; empty: all that the data has"""
    one_per: Literal["joint", "machine"] = "joint"
    """One network for all machine types, or one for each"""
    classes: Literal["section", "attributes"]
    """What the network tells apart: individuals, or individuals in each condition"""
    features: FeatureSpec
    network: NetworkSpec
    loss: LossSpec = LossSpec()
    augment: AugmentSpec = AugmentSpec()
    training: TrainingSpec
    scoring: ScoringSpec = ScoringSpec()


def packaged() -> tuple[str, ...]:
    """Names of the recipes that come with the software."""
    folder = files("asd_train") / "recipes"
    names = (item.name for item in folder.iterdir())
    return tuple(sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml")))


def load(name: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name : str
        One of `packaged`, or a file that ends in ``.yaml``.

    Raises
    ------
    ConfigError
        There is no such recipe, or it breaks a rule.
    """
    return parse(_text(name), name)


def parse(text: str, name: str) -> Recipe:
    """Check the text of a recipe; `name` is for the message.

    Raises
    ------
    ConfigError
        It is not YAML or breaks a rule; the message names the key.
    """
    values = _values(text, (name,))
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(f"{name}: {key}: {first['msg']}") from error


def _text(name: str) -> str:
    if name in packaged():
        return (files("asd_train") / "recipes" / f"{name}.yaml").read_text("utf-8")
    if name.endswith(".yaml") and Path(name).is_file():
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name} cannot be read: {error}") from error
    raise ConfigError(
        f"no recipe {name!r}: give one of {', '.join(packaged())} "
        "or a file that ends in .yaml"
    )


def _values(text: str, chain: tuple[str, ...]) -> Any:
    """Read YAML and lay it over its base, and that over its own.

    `chain` are the names from the recipe that was asked for to this one.
    """
    name = chain[-1]
    try:
        values: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {error}") from error
    if not isinstance(values, dict) or "base" not in values:
        return values
    base = values.pop("base")
    if not isinstance(base, str):
        raise ConfigError(f"{name}: base: {base!r} is not the name of a recipe")
    if base in chain:
        raise ConfigError(
            f"{name}: base: {' -> '.join((*chain, base))} goes in a circle; "
            "end it with a recipe that has no base"
        )
    try:
        below = _text(base)
    except ConfigError as error:
        raise ConfigError(f"{name}: base: {error}") from error
    inherited: Any = _values(below, (*chain, base))
    if not isinstance(inherited, dict):
        raise ConfigError(f"{name}: base: {base} is not a mapping of keys")
    # The name goes into runs and bundles: two recipes must not share one.
    own = {key: value for key, value in inherited.items() if key != "name"}
    return _overlaid(own, values)


def _overlaid(base: dict[Any, Any], values: dict[Any, Any]) -> dict[Any, Any]:
    """Override key by key; a mapping of another `kind` or a list as a whole."""
    result = dict(base)
    for key, value in values.items():
        old: Any = result.get(key)
        alike = (
            isinstance(old, dict)
            and isinstance(value, dict)
            and value.get("kind", old.get("kind")) == old.get("kind")
        )
        result[key] = _overlaid(old, value) if alike else value
    return result


def dump(recipe: Recipe) -> str:
    """Write it out, every default and every value of a base included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
