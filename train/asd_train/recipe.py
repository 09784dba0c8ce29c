"""A recipe: everything that decides what a training run makes of its data."""

from importlib.resources import files
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_agent.errors import ConfigError
from asd_agent.features import FeatureSpec
from asd_train.augment import AugmentSpec
from asd_train.losses import LossSpec
from asd_train.models.network import NetworkSpec


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
    checkpoint_steps: int = Field(200, ge=1)
    """Batches from one checkpoint to the next"""
    seed: int = Field(1, ge=0)


class Recipe(_Model):
    """The whole file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    summary: str
    """One line for ``asd-train recipes``"""
    licence: str = "Apache-2.0"
    """Licence of the weights; that of the recordings may ask for another"""
    machines: tuple[str, ...] = ()
    """Machine types to train on; empty: all that the data has"""
    classes: Literal["section", "attributes"]
    """What the network tells apart: individuals, or individuals in each condition"""
    features: FeatureSpec
    network: NetworkSpec
    loss: LossSpec = LossSpec()
    augment: AugmentSpec = AugmentSpec()
    training: TrainingSpec


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
    if name in packaged():
        text = (files("asd_train") / "recipes" / f"{name}.yaml").read_text("utf-8")
    elif name.endswith(".yaml") and Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise ConfigError(
            f"no recipe {name!r}: give one of {', '.join(packaged())} "
            "or a file that ends in .yaml"
        )
    return parse(text, name)


def parse(text: str, name: str) -> Recipe:
    """Check the text of a recipe; `name` is for the message.

    Raises
    ------
    ConfigError
        It is not YAML or breaks a rule; the message names the key.
    """
    try:
        return Recipe.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(f"{name}: {key}: {first['msg']}") from error


def dump(recipe: Recipe) -> str:
    """Write it out, every default included."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
