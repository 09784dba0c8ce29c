"""Reading evaluations: whole ones, and every way to be damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from asd_train.report import history
from asd_train.report.clips import EvaluationError
from asd_train.report.folder import Evaluation


def test_the_run_and_its_evaluation_open_alike(done: Path) -> None:
    one, other = Evaluation.open(done), Evaluation.open(done / "evaluation")
    assert one.summary == other.summary
    assert one.made_of == done.resolve()
    assert len(one.clips) == len(one.vectors) == len(one.levels) == len(one.nearest)
    assert one.summary.types == ("fan", "valve")
    assert one.summary.sections_of("fan") == ("00", "01")
    assert one.clips.tested.sum() == 2 * 2 * 2 * 2 * 12
    assert set(one.clips.split[one.nearest]) == {"train"}


def test_the_run_is_found_from_an_evaluation_within_another(
    make: Callable[..., Path], tmp_path: Path
) -> None:
    run = make()
    inner = run / "evaluation" / "quantised"
    shutil.copytree(run / "evaluation", inner)
    assert Evaluation.open(inner).made_of == run.resolve()
    shutil.move(inner, tmp_path / "away" / "quantised")
    assert Evaluation.open(tmp_path / "away" / "quantised").made_of.name == "away"


def test_a_clip_without_a_score_is_not_tested(make: Callable[..., Path]) -> None:
    run = make()
    path = run / "evaluation" / "scores.csv"
    lines = path.read_text().splitlines()
    fields = lines[1].split(",")
    fields[7] = fields[8] = ""
    path.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    clips = Evaluation.open(run).clips
    assert np.isnan(clips.score[0])
    assert not clips.tested[0]
    assert clips.tested[1]


def _no_summary(folder: Path) -> None:
    (folder / "evaluation.json").unlink()


def _half_a_summary(folder: Path) -> None:
    text = (folder / "evaluation.json").read_text()
    (folder / "evaluation.json").write_text(text[: len(text) // 2])


def _strange_auc(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    content["sections"][1]["auc"] = 87.0
    (folder / "evaluation.json").write_text(json.dumps(content))


def _later_format(folder: Path) -> None:
    content = json.loads((folder / "evaluation.json").read_text())
    (folder / "evaluation.json").write_text(json.dumps({**content, "format": 2}))


def _no_scores(folder: Path) -> None:
    (folder / "scores.csv").unlink()


def _no_clips(folder: Path) -> None:
    text = (folder / "scores.csv").read_text()
    (folder / "scores.csv").write_text(text.splitlines()[0] + "\n")


def _no_column(folder: Path) -> None:
    text = (folder / "scores.csv").read_text()
    (folder / "scores.csv").write_text(text.replace("p_value", "q", 1))


def _short_line(folder: Path) -> None:
    text = (folder / "scores.csv").read_text()
    (folder / "scores.csv").write_text(text.rstrip()[:-9])


def _no_number(folder: Path) -> None:
    text = (folder / "scores.csv").read_text()
    (folder / "scores.csv").write_text(text.replace(",0.", ",zero.", 1))


def _no_vectors(folder: Path) -> None:
    (folder / "embeddings.safetensors").write_bytes(b"torn")


def _fewer_vectors(folder: Path) -> None:
    vectors = load_file(folder / "embeddings.safetensors")["vectors"]
    save_file({"vectors": vectors[1:]}, folder / "embeddings.safetensors")


def _nearest_beyond(folder: Path) -> None:
    spectra = load_file(folder / "spectra.safetensors")
    spectra["nearest"][0] = 10**6
    save_file(spectra, folder / "spectra.safetensors")


def _fewer_edges(folder: Path) -> None:
    spectra = load_file(folder / "spectra.safetensors")
    spectra["edges_hz"] = spectra["edges_hz"][1:].copy()
    save_file(spectra, folder / "spectra.safetensors")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_no_summary, "holds no evaluation"),
        (_half_a_summary, "the whole"),
        (_strange_auc, "sections.1.auc"),
        (_later_format, "format"),
        (_no_scores, "scores.csv cannot be read"),
        (_no_clips, "has no clips"),
        (_no_column, "no column 'p_value'"),
        (_short_line, "line 177"),
        (_no_number, "could not convert string to float: 'zero."),
        (_no_vectors, "embeddings.safetensors cannot be read"),
        (_fewer_vectors, "'vectors' has the shape (175, 16)"),
        (_nearest_beyond, "nearest names a clip"),
        (_fewer_edges, "24 groups of bands but 23"),
    ],
)
def test_what_is_damaged_is_said_in_a_line(
    make: Callable[..., Path], damage: Callable[[Path], None], said: str
) -> None:
    run = make(clips=6, trained=10, machines=("fan", "valve"))
    damage(run / "evaluation")
    with pytest.raises(EvaluationError) as caught:
        Evaluation.open(run)
    assert said in str(caught.value)
    assert "asd-train evaluate" in str(caught.value)


def test_history_of_a_network_a_machine(tmp_path: Path) -> None:
    for machine, hop in (("fan", 512), ("valve", 256)):
        run = tmp_path / machine
        run.mkdir()
        (run / "run.json").write_text(
            json.dumps({"features": {"kind": "secom", "hop": hop}})
        )
        rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "rate": 0.1}]
        text = "\n".join(map(json.dumps, rows))
        (run / "metrics.jsonl").write_text(text + '\n{"step": 3, "lo')  # torn
    (tmp_path / "recipe.yaml").write_text("name: x\n")
    found = history.read(tmp_path)
    assert found.recipe == "name: x\n"
    assert found.front_end("valve").hop == 256
    assert found.front_end("fan").hop == 512
    loss = found.curves["loss"]
    assert [curve.machine for curve in loss] == ["fan", "valve"]
    np.testing.assert_array_equal(loss[0].steps, [1, 2])
    np.testing.assert_array_equal(loss[0].values, [2, 1])
    assert found.curves["accuracy"] == ()


def test_history_of_a_bundle_knows_its_front_end(tmp_path: Path) -> None:
    member = {"features": {"kind": "logmel", "n_mels": 40}}
    (tmp_path / "manifest.json").write_text(json.dumps({"members": [member]}))
    assert history.read(tmp_path).front_end("fan").bands == 40


def test_history_of_nothing_is_empty(tmp_path: Path) -> None:
    found = history.read(tmp_path)
    assert found.recipe == ""
    assert found.front_end("fan").bands == 1024


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"features": {"kind": "secom", "hop": 0}}']
)
def test_a_run_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(EvaluationError, match="front end cannot be read"):
        history.read(tmp_path)
