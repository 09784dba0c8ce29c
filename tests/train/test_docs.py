"""The pages on training and evaluation say what the commands and recipes take."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asd_train.cli import _parser
from asd_train.evaluate.protocol import Figures, Measure, means, official, rules
from asd_train.losses import LossSpec
from asd_train.recipe import load, packaged, parse
from asd_train.scoring_spec import ScorerSpec, ScoringSpec

DOCS = Path(__file__).parents[2] / "docs"
TRAINING = (DOCS / "training.md").read_text(encoding="utf-8")
EVALUATION = (DOCS / "evaluation.md").read_text(encoding="utf-8")
PAGES = TRAINING + EVALUATION


def commands() -> Iterator[list[str]]:
    """Words of every `asd-train` in a block, and of those with flags in the text."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
    lines = [
        line
        for kind, block in fence.findall(PAGES)
        if not kind
        for line in block.splitlines()
    ]
    spans = re.findall(r"`([^`]+)`", fence.sub("", PAGES))
    lines += [" ".join(span.split()) for span in spans if " --" in span]
    for line in lines:
        words = shlex.split(line, comments=True)
        for start in (["asd-train"], ["-m", "asd_train"]):
            for i in range(len(words)):
                if words[i : i + len(start)] == start:
                    yield words[i + len(start) :]


WHOLE = list(commands())


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the table whose head begins with `heading`."""
    lines = page[page.index(f"| {heading}") :].splitlines()
    table = lines[: next(i for i, line in enumerate(lines) if "|" not in line)]
    return [
        [cell.strip().strip("`") for cell in line.strip()[1:-1].split("|")]
        for line in table[2:]
    ]


@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_every_command_is_understood(words: list[str]) -> None:
    if ">" in words:
        words = words[: words.index(">")]
    assert callable(_parser().parse_args(words).run)


def test_every_command_of_the_trainer_is_shown() -> None:
    shown = {words[0] for words in WHOLE}
    assert shown == {
        "simulate",
        "data",
        "recipes",
        "fit",
        "evaluate",
        "report",
        "compare",
        "ablate",
    }


def test_the_recipes_are_those_that_are_packaged() -> None:
    table = [row[0] for row in rows(TRAINING, "recipe |")]
    assert sorted(table) == list(packaged())
    takers = ("fit", "ablate", "recipes")
    named = {words[1] for words in WHOLE if words[0] in takers and len(words) > 1}
    assert {name for name in named if not name.endswith(".yaml")} <= set(packaged())
    assert all(f"`{name}`" in EVALUATION or name in named for name in packaged())


def test_the_recipes_are_as_the_page_says() -> None:
    networks = {
        "mobilefacenet": "MobileFaceNet",
        "mobilenetv2": "MobileNetV2",
        "two_branch": "two branches",
    }
    ways = {"joint": "one for all", "machine": "one a type"}
    classes = {"section": "individual", "attributes": "individual and condition"}
    for name, network, way, kinds, _ in rows(TRAINING, "recipe |"):
        recipe = load(name)
        title, activation, *_ = network.split(", ")
        assert title == networks[recipe.network.name], name
        assert activation.lower().rstrip("6") == recipe.network.activation, name
        assert way == ways[recipe.one_per], name
        assert kinds == classes[recipe.classes], name


def test_the_recipe_of_the_example_can_be_read() -> None:
    found = re.search(r"```yaml\n(.*?)```", TRAINING, re.S)
    assert found
    recipe = parse(found[1], "the example")
    assert recipe.network.name == "two_branch"
    assert recipe.scoring.members[0].source.kind == "lof"


def test_every_key_of_a_scoring_is_there() -> None:
    table = [row[0] for row in rows(TRAINING, "Key of `scoring`")]
    keys = set(ScoringSpec.model_fields)
    keys |= {f"members[].{key}" for key in ScorerSpec.model_fields}
    assert set(table) == keys
    assert len(table) == len(keys)


def test_every_loss_is_there() -> None:
    table = {
        row[0]: set(re.findall(r"\w+", row[2])) for row in rows(TRAINING, "kind |")
    }
    kinds = LossSpec.model_json_schema()["properties"]["kind"]["enum"]
    assert list(table) == kinds
    assert set.union(*table.values()) == set(LossSpec.model_fields) - {"kind"}


def test_the_published_figures_give_the_scores_beside_them() -> None:
    measures: tuple[Measure, ...] = ("auc", "pauc")
    columns = [(d, m) for m in measures for d in ("source", "target")]
    by, figures = rules(2021), []
    *cells, total = rows(EVALUATION, "Machine | AUC source")
    for machine, *values in cells:
        numbers = dict(zip(columns, (float(v) / 100 for v in values), strict=True))
        figures += [
            Figures(
                machine,
                "",
                domain,
                {m: np.array([numbers[domain, m]]) for m in measures},
            )
            for domain in ("source", "target")
        ]
    assert len(cells) == 7
    mean = means(figures, by)["harmonic"]
    score = official(figures, by)
    assert score is not None
    printed = next(r for r in rows(EVALUATION, "System |") if "task2_3" in r[0])
    computed = [mean["auc"], mean["pauc"], float(score.squeeze())]
    assert [f"{100 * (value or 0):.2f}" for value in computed] == printed[2:]
    inverse = [[1 / float(row[i]) for row in cells] for i in range(1, len(columns) + 1)]
    assert [f"{7 / sum(column):.2f}" for column in inverse] == total[1:]


def test_there_is_a_place_for_what_was_measured() -> None:
    assert EVALUATION.count("\n## Measured\n") == 1


@pytest.mark.parametrize("page", [TRAINING, EVALUATION], ids=["training", "evaluation"])
def test_lines_fit_a_window_and_links_lead_somewhere(page: str) -> None:
    text = [line for line in page.splitlines() if not line.lstrip().startswith("|")]
    assert max(map(len, text)) <= 120
    for name, anchor in re.findall(r"\]\((\w*\.?\w*)(?:#([\w-]+))?\)", page):
        target = (DOCS / name).read_text(encoding="utf-8") if name else page
        heads = re.findall(r"^#+ (.*)$", target, re.M)
        slugs = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in heads}
        assert not anchor or anchor in slugs, anchor
