"""The pages: well-formed, alone in the world, and true to the numbers."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from asd_agent.errors import ConfigError
from asd_train.report import history
from asd_train.report.comparison import compare, labels, settings
from asd_train.report.exhibits import most_anomalous
from asd_train.report.folder import Evaluation
from asd_train.report.page import Choice, page

Make = Callable[..., Path]
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Checks that tags are nested, and gathers text and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href", "action", "srcset", "data"):
                self.links.append(value or "")
            if key == "id":
                self.ids.append(value or "")
            assert not key.startswith("on"), f"{tag} has {key}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def reading(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def alone(text: str) -> Reader:
    """Read a page and see that it asks for nothing beside itself."""
    reader = reading(text)
    assert all(re.match(r"#|data:image/png;base64,", link) for link in reader.links)
    assert all(link[1:] in reader.ids for link in reader.links if link[0] == "#")
    assert len(reader.ids) == len(set(reader.ids))
    assert not re.search(r"url\((?!#)|@import|<link|<iframe|<base", text)
    outside = set(re.findall(r"https?://[^\s\"'<]*", text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    return reader


@pytest.fixture(scope="module")
def whole(done: Path, sounds: Path) -> str:
    """The page of `done` with everything on it."""
    choice = Choice(sounds, maps=("fan", "valve/01"), clips=4)
    return page(Evaluation.open(done), history.read(done), choice)


def test_the_page_is_alone_and_not_large(whole: str) -> None:
    reader = alone(whole)
    assert len(whole) < 1_500_000
    assert reader.tags.count("h1") == 1
    assert "th" in reader.tags


def test_every_number_of_the_tables_is_there(whole: str, done: Path) -> None:
    text = re.sub(r"\s+", " ", reading(whole).text)
    content = json.loads((done / "evaluation" / "evaluation.json").read_text())
    for row in content["sections"]:
        for key in ("auc", "pauc"):
            low, high = row[f"{key}_ci"]
            wanted = f"{row[key] * 100:.1f} {low * 100:.1f}\N{EN DASH}{high * 100:.1f}"
            assert wanted in text
        assert f"{row['threshold']:.4g}" in text
        assert f"{row['f1'] * 100:.1f}" in text
    for entry in content["machines"]:
        assert f"{entry['harmonic']['auc'] * 100:.1f}" in text
    assert f"{content['overall']['official'] * 100:.2f}" in text
    assert re.search(r"statistics alone ?61\.27", text)
    for word in ("DCASE 2021", "0123abc", "float", "sounds", "arcface"):
        assert word in text


def test_every_figure_is_there_and_named(whole: str) -> None:
    titles = re.findall(r"<title id=\"[^\"]*\">([^<]*)</title>", whole)
    wanted = {"ROC of fan", "ROC of valve", "Scores of valve, section 01"}
    wanted |= {"Embeddings of fan", "Embeddings of valve, section 01"}
    wanted |= {"This clip", "Nearest normal clip", "Difference"}
    wanted |= {"Training: loss", "Training: accuracy", "Training: rate"}
    assert wanted <= set(titles)
    assert titles.count("Difference") == 4
    labelled = re.findall(r"<svg[^>]*aria-labelledby=\"(\S+) (\S+)\"", whole)
    assert len(labelled) == whole.count("<svg") == len(titles)


def test_dark_print_and_phone_have_rules(whole: str) -> None:
    assert "@media screen and (prefers-color-scheme: dark)" in whole
    assert "@media print" in whole
    assert "break-inside: avoid" in whole
    assert 'name="viewport"' in whole
    light, dark = re.findall(r":root \{(.*?)\}", whole, re.DOTALL)
    names = [set(re.findall(r"(--\w+):", block)) for block in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\((--\w+)\)", whole)) - names[0] <= {"--c", "--v"}


def test_without_recordings_band_levels_are_shown(done: Path, tmp_path: Path) -> None:
    evaluation, past = Evaluation.open(done), history.read(done)
    text = page(evaluation, past, Choice(maps=(), clips=2))
    assert text.count("Mean level of each group of bands") == 2
    assert "No spectrogram" not in text
    text = page(evaluation, past, Choice(tmp_path, maps=(), clips=2))
    assert "No spectrogram" in text
    assert "Mean level of each group of bands" in text


def test_the_page_says_little_where_little_is_known(make: Make) -> None:
    run = make(domains=("",), protocol=2020, quantised=True, sections=1)
    for name in ("recipe.yaml", "run.json", "metrics.jsonl"):
        (run / name).unlink()
    evaluation = Evaluation.open(run)
    text = page(evaluation, history.read(run), Choice(maps=()))
    reader = alone(text)
    assert 'id="training"' not in text
    assert 'id="recipe"' not in text
    assert 'id="map"' not in text
    assert "Evaluation of a run, quantised" in reader.text
    assert "Source" not in reader.text


def test_of_2022_and_later_pauc_is_that_of_both_domains(make: Make) -> None:
    run = make(protocol=2024, sections=1)
    text = reading(page(Evaluation.open(run), history.read(run), Choice(maps=()))).text
    assert "against the anomalies of both" in text
    assert "All" in text


def test_hostile_names_stay_text(make: Make) -> None:
    nasty = "<script>alert(1)</script>\"'$x^"
    names = {"name": nasty, "machines": (nasty, "a&amp;b")}
    run = make(**names, recipe="name: '</pre><b>'\n", sections=1)
    evaluation, past = Evaluation.open(run), history.read(run)
    text = page(evaluation, past, Choice(maps=(nasty,), clips=2))
    assert alone(text).tags.count("script") == 1
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert "</pre><b>" not in text
    both = compare([evaluation, evaluation], [past, past])
    assert "script" not in alone(both).tags


def test_a_map_of_nothing_that_is_there_is_refused(done: Path) -> None:
    with pytest.raises(ConfigError, match="give one of fan, valve, fan/00"):
        page(Evaluation.open(done), history.read(done), Choice(maps=("pump",)))


def test_the_most_anomalous_take_turns(done: Path) -> None:
    clips = Evaluation.open(done).clips
    rows = most_anomalous(clips, 6)
    assert len(set(rows)) == 6
    assert clips.tested[rows].all()
    machines = clips.machine[rows].tolist()
    assert machines[0] != machines[1]
    assert machines[:2] * 3 == machines
    own = clips.p_value[rows][::2]
    assert own[0] == clips.p_value[clips.of(machines[0]) & clips.tested].min()
    assert list(own) == sorted(own)


def test_compare_shows_the_best_and_the_difference(make: Make) -> None:
    runs = [
        make("a"),
        make("b", noise=1, contrast=3, recipe="name: best\nloss: {kind: adacos}\n"),
        make("c", noise=2, clips=10, quantised=True),
    ]
    evaluations = [Evaluation.open(run) for run in runs]
    assert labels(evaluations) == ["best (a)", "best (b)", "best, quantised"]
    text = compare(evaluations, [history.read(run) for run in runs])
    reader = alone(text)
    first, second, _ = (e.summary.overall.official or 0 for e in evaluations)
    assert f"<b>{second * 100:.2f}</b>" in text
    assert f"+{(second - first) * 100:.2f}" in reader.text
    assert "paired bootstrap, 1000 replicates of the test clips" in reader.text
    assert "was not evaluated on the same clips" in reader.text
    assert "loss.kind" in reader.text
    assert "adacos" in reader.text
    for evaluation in evaluations:
        for row in evaluation.summary.sections:
            assert f"{(row.auc or 0) * 100:.1f}" in reader.text


def test_compare_wants_two(done: Path) -> None:
    with pytest.raises(ConfigError, match="give 2 to 8"):
        compare([Evaluation.open(done)], [history.read(done)])


def test_only_keys_that_differ_are_told() -> None:
    one = "name: a\nloss: {kind: arcface, scale: 30}\nmembers: [{k: 1}, {k: 2}]\n"
    other = "name: a\nloss: {kind: arcface}\nmembers: [{k: 1}, {k: 4}]\nnew: [1, 2]\n"
    assert settings([one, other]) == [
        ("loss.scale", ["30", "(not set)"]),
        ("members[1].k", ["2", "4"]),
        ("new", ["(not set)", "[1, 2]"]),
    ]
    assert settings([one, one]) == []
    assert settings(["", ""]) == []
