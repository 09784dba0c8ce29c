"""Recipes: the packaged ones, and what is refused."""

from pathlib import Path

import pytest

from asd_agent.errors import ConfigError
from asd_agent.scoring.detector import KnnSpec, LofSpec, MahalanobisSpec
from asd_train.models import build_network
from asd_train.recipe import Recipe, dump, load, packaged, parse

MACHINES = ("ToyCar", "ToyTrain", "fan", "gearbox", "pump", "slider", "valve")


def test_packaged_recipes() -> None:
    assert packaged() == (
        "best",
        "default",
        "secom_mfn",
        "secom_mnv2",
        "secom_system1",
        "secom_system2",
        "secom_system3",
        "smoke",
    )


@pytest.mark.parametrize("name", packaged())
def test_every_packaged_recipe_builds_a_network(name: str) -> None:
    recipe = load(name)
    assert recipe.name == name
    network = build_network(recipe.network, recipe.features.unit_shape)
    assert next(network.parameters()).requires_grad


@pytest.mark.parametrize(
    "name", [name for name in packaged() if name.startswith("secom")]
)
def test_seed_recipes_keep_the_report(name: str) -> None:
    recipe = load(name)
    mobilenet = name == "secom_mnv2"
    assert recipe.network.name == ("mobilenetv2" if mobilenet else "mobilefacenet")
    assert recipe.network.activation == ("relu" if mobilenet else "prelu")
    assert recipe.network.embedding == 128
    assert recipe.features.unit_shape == (1024, 32)
    assert recipe.features.window / recipe.features.rate_hz == 0.128
    assert recipe.features.hop / recipe.features.rate_hz == 0.032
    assert recipe.features.unit_shift == 16
    assert recipe.one_per == "machine"
    assert recipe.classes == "section"
    assert recipe.loss.kind == "arcface"
    assert recipe.scoring.domains == "named"
    units = recipe.features.units_in(10 * recipe.features.rate_hz)
    for machine in MACHINES:
        for member in recipe.scoring.of(machine):
            assert member.network
            assert member.pooling.units == units


LOF, KNN = LofSpec(k=4), KnnSpec(k=1)


@pytest.mark.parametrize(
    ("name", "valve", "others"),
    [
        # Kind of pooling, source, target: table 7 of the report.
        ("secom_system1", ("std", LOF, LOF), ("mean", LOF, LOF)),
        ("secom_system2", ("std", KNN, KNN), ("mean", KNN, KNN)),
        ("secom_system3", ("std", KNN, KNN), ("mean", LOF, KNN)),
        ("secom_mnv2", ("mean", LOF, KNN), ("mean", LOF, KNN)),
    ],
)
def test_systems_score_as_table_7(
    name: str, valve: tuple[object, ...], others: tuple[object, ...]
) -> None:
    scoring = load(name).scoring
    for machine in MACHINES:
        (member,) = scoring.of(machine)
        found = (member.pooling.kind, member.source, member.of_all)
        assert found == (valve if machine == "valve" else others), machine


def test_systems_differ_in_their_scoring_alone() -> None:
    base = load("secom_mfn")
    for number in (1, 2, 3):
        system = load(f"secom_system{number}")
        own = {"name", "summary", "scoring"}
        assert system.model_dump(exclude=own) == base.model_dump(exclude=own)
        assert system.summary != base.summary


@pytest.mark.parametrize("name", ["default", "best"])
def test_best_hears_with_a_network_and_without_over_ten_seconds(name: str) -> None:
    recipe = load(name)
    assert recipe.one_per == "joint"
    assert recipe.network.name == "two_branch"
    assert recipe.features.unit_shape == (1024, 32)
    network, *statistics = recipe.scoring.members
    assert network.network
    assert [member.groups for member in statistics] == [24, 8, 64]
    assert not any(m.network or m.pooling.unit_norm for m in statistics)
    units = recipe.features.units_in(10 * recipe.features.rate_hz)
    for member in recipe.scoring.members:
        assert member.source == MahalanobisSpec()
        assert member.pooling.units == units


@pytest.mark.parametrize("name", ["default", "best"])
def test_what_goes_to_devices_can_be_quantised(name: str) -> None:
    assert load(name).network.activation == "relu"


@pytest.mark.parametrize("name", packaged())
def test_written_out_it_reads_the_same(name: str) -> None:
    recipe = load(name)
    text = dump(recipe)
    assert "\nbase:" not in text
    assert parse(text, "again") == recipe


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(dump(load("smoke")).replace("name: smoke", "name: mine"))
    assert load(str(path)).name == "mine"


def test_a_base_is_overridden_key_by_key() -> None:
    text = """
    base: secom_system3
    name: mine
    training: {steps: 5}
    features: {kind: logmel, unit_frames: 64}
    scoring: {members: [{source: {kind: knn, k: 2}}]}
    """
    recipe, base = parse(text, "mine.yaml"), load("secom_system3")
    assert recipe.name == "mine"
    assert recipe.training == base.training.model_copy(update={"steps": 5})
    assert recipe.network == base.network
    # Another kind has other keys, and a list is one value: neither is blended.
    assert recipe.features.kind == "logmel"
    assert recipe.features.window == 1024
    assert recipe.scoring.members[0].source == KnnSpec(k=2)
    assert recipe.scoring.members[0].target is None
    assert recipe.scoring.machines == base.scoring.machines


def test_a_base_may_be_a_file_with_a_base(tmp_path: Path) -> None:
    middle = tmp_path / "middle.yaml"
    middle.write_text("base: smoke\nname: middle\ntraining: {steps: 9}\n")
    recipe = parse(f"base: {middle}\nname: top\ntraining: {{batch: 4}}\n", "top.yaml")
    assert (recipe.training.steps, recipe.training.batch) == (9, 4)
    assert recipe.augment == load("smoke").augment


def test_bases_in_a_circle_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("base: b.yaml\nname: a\n")
    Path("b.yaml").write_text("base: a.yaml\nname: b\n")
    with pytest.raises(ConfigError, match=r"a\.yaml -> b\.yaml -> a\.yaml"):
        load("a.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: sekom\nname: mine", r"mine\.yaml: base: no recipe 'sekom'"),
        ("base: [smoke]\nname: mine", r"base: \['smoke'\] is not the name"),
        ("base: smoke", r"name: Field required"),
        ("base: smoke\nname: mine\ntraining: {stepz: 1}", r"training\.stepz"),
        ("- a list", "the whole"),
        ("", "the whole"),
    ],
)
def test_a_base_that_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text, "mine.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.yaml"
    path.write_bytes(b"RIFF\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(path))


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


def test_a_recipe_is_frozen() -> None:
    assert Recipe.model_config["frozen"]
