"""Recipes: the packaged ones, and what is refused."""

from pathlib import Path

import pytest

from asd_agent.errors import ConfigError
from asd_train.models import build_network
from asd_train.recipe import dump, load, packaged, parse


def test_every_packaged_recipe_builds_a_network() -> None:
    assert packaged() == ("default", "secom_mfn", "secom_mnv2", "smoke")
    for name in packaged():
        recipe = load(name)
        assert recipe.name == name
        network = build_network(recipe.network, recipe.features.unit_shape)
        assert next(network.parameters()).requires_grad


def test_seed_recipes_keep_the_report() -> None:
    for name, network in (
        ("secom_mfn", "mobilefacenet"),
        ("secom_mnv2", "mobilenetv2"),
    ):
        recipe = load(name)
        assert recipe.network.name == network
        assert recipe.network.embedding == 128
        assert recipe.features.unit_shape == (1024, 32)
        assert recipe.features.window / recipe.features.rate_hz == 0.128
        assert recipe.features.hop / recipe.features.rate_hz == 0.032
        assert recipe.features.unit_shift == 16
        assert recipe.classes == "section"
        assert recipe.loss.kind == "arcface"


def test_default_recipe_can_be_quantised() -> None:
    assert load("default").network.activation == "relu"


@pytest.mark.parametrize("name", packaged())
def test_written_out_it_reads_the_same(name: str) -> None:
    recipe = load(name)
    assert parse(dump(recipe), "again") == recipe


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(dump(load("smoke")).replace("name: smoke", "name: mine"))
    assert load(str(path)).name == "mine"


def test_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'sekom'.*secom_mfn"):
        load("sekom")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 6", "stepz: 6", r"training\.steps"),
        ("batch: 8", "batch: 1", r"training\.batch"),
        ("classes: section", "classes: colour", "classes"),
        ("name: mobilefacenet", "name: resnet", r"network\.name"),
        ("name: smoke", "name: [", "not YAML"),
    ],
)
def test_a_broken_rule_names_the_key(old: str, new: str, message: str) -> None:
    text = dump(load("smoke"))
    assert old in text
    with pytest.raises(ConfigError, match=message):
        parse(text.replace(old, new), "mine.yaml")
