"""From a folder of recordings to an evaluation, end to end."""

import csv
import io
import json
import shutil
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file
from sklearn.metrics import roc_auc_score

from asd_agent.config_file import load
from asd_agent.errors import SoundError
from asd_agent.replay import replay
from asd_agent.scoring.combine import Combine
from asd_agent.teach import teach
from asd_train.data.dcase import read_folder
from asd_train.data.reading import Reading
from asd_train.evaluate.ear import Ear, fresh_network
from asd_train.evaluate.evaluate import Order, Summary, evaluate
from asd_train.evaluate.subject import of_bundle, of_run
from asd_train.report.folder import Evaluation
from asd_train.run import Run
from support.bundles import forge

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def order(sounds: Path, out: Path) -> Order:
    return Order(data=sounds, out=out, cache=out.parent / "cache", now=NOW)


@pytest.fixture(scope="module")
def done(
    run: Run, sounds: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("evaluated") / "evaluation"
    return out, evaluate(of_run(run.path, "cpu"), order(sounds, out))


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_files_are_as_agreed(done: tuple[Path, Summary], sounds: Path) -> None:
    out, summary = done
    written = json.loads((out / "evaluation.json").read_text())
    assert written == json.loads(json.dumps(summary))
    assert {key: written[key] for key in ("format", "kind", "recipe", "created")} == {
        "format": 1,
        "kind": "run",
        "recipe": "smoke",
        "created": "2026-01-02T03:04:05+00:00",
    }
    assert written["protocol"] == 2022
    rows = rows_of(out)
    assert len(rows) == 16 + 12
    assert [row["split"] for row in rows] == ["test"] * 16 + ["train"] * 12
    assert all((sounds / row["path"]).is_file() for row in rows)
    vectors = load_file(out / "embeddings.safetensors")["vectors"]
    assert vectors.shape == (28, 16)
    assert vectors.dtype == np.float32
    spectra = load_file(out / "spectra.safetensors")
    groups = spectra["levels"].shape[1]
    assert spectra["edges_hz"].shape == (groups, 2)
    assert (spectra["edges_hz"][:, 0] < spectra["edges_hz"][:, 1]).all()
    assert spectra["nearest"].dtype == np.int64
    for row, nearest in enumerate(spectra["nearest"]):
        near = rows[nearest]
        assert nearest not in (-1, row)
        assert near["split"] == "train"
        assert (near["machine"], near["section"]) == (
            rows[row]["machine"],
            rows[row]["section"],
        )


def test_the_report_reads_it(done: tuple[Path, Summary]) -> None:
    found = Evaluation.open(done[0])
    assert len(found.clips) == 28
    assert found.summary.types == ("fan", "pump")


def test_the_figures_are_those_of_the_scores(done: tuple[Path, Summary]) -> None:
    out, summary = done
    rows = [row for row in rows_of(out) if row["split"] == "test"]
    assert len(summary["sections"]) == 4 * 3
    for entry in summary["sections"]:
        own = [
            row
            for row in rows
            if (row["machine"], row["section"]) == (entry["machine"], entry["section"])
            and (entry["domain"] in ("all", row["domain"]) or row["label"] == "anomaly")
        ]
        truth = np.array([row["label"] == "anomaly" for row in own])
        assert entry["anomalous"] == truth.sum()
        assert entry["normal"] == (~truth).sum()
        if entry["auc"] is None:
            assert truth.all() or not truth.any()
            continue
        scores = np.array([float(row["score"]) for row in own])
        assert entry["auc"] == pytest.approx(roc_auc_score(truth, scores))
        low, high = entry["auc_ci"]
        assert low <= entry["auc"] <= high
    assert set(summary["reference"]) == {"statistics"}


def test_it_is_the_same_again_and_without_labels(
    done: tuple[Path, Summary], run: Run, sounds: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    for clip in (*read_folder(sounds, "train"), *read_folder(sounds, "test")):
        name = clip.path.name
        if clip.split == "test":
            name = name.replace("_normal_", "_").replace("_anomaly_", "_9")
        path = hidden / clip.machine / clip.split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(clip.path)
    out = tmp_path / "out"
    summary = evaluate(of_run(run.path, "cpu"), order(hidden, out))
    assert summary["overall"]["official"] is None
    told = sorted(row["score"] for row in rows_of(done[0]))
    assert sorted(row["score"] for row in rows_of(out)) == told
    files = sorted((out / "submission").glob("anomaly_score_*_test.csv"))
    assert len(files) == 4
    assert all(len(path.read_text().splitlines()) == 4 for path in files)


@pytest.mark.parametrize("combine", ["min_p", "fisher"])
def test_a_bundle_scores_as_the_agent_replays(
    sounds: Path, tmp_path: Path, combine: Combine
) -> None:
    bundle = forge(tmp_path / "bundle", embeds=True, statistics=True, combine=combine)
    subject = of_bundle(bundle, None)
    out = tmp_path / "out"
    evaluate(subject, replace(order(sounds, out), machines=("fan",)))
    rows = {row["path"]: row for row in rows_of(out) if row["section"] == "01"}
    files = {
        split: [
            str(clip.path)
            for clip in read_folder(sounds, split, ("fan",))
            if clip.section == "01"
        ]
        for split in ("train", "test")
    }
    config_file = tmp_path / "asd.yaml"
    values = {
        "device": "fan-01",
        "state_dir": str(tmp_path / "state"),
        "bundle": {"path": str(bundle), "allow_unsigned": True},
        "sources": [{"name": "fan", "recording": files["test"][0]}],
    }
    config_file.write_text(yaml.safe_dump(values))
    config = load(config_file)
    screen = io.StringIO()
    teach(config, config.sources[0], files["train"], None, screen)
    records = list(
        replay(config, config.sources[0], files["test"], per_file=True, screen=screen)
    )
    assert len(records) == 4
    for record in records:
        assert not isinstance(record, SoundError)
        row = rows[str(Path(record["file"]).relative_to(sounds))]
        assert float(row["score"]) == pytest.approx(record["score"], abs=1e-6)
        assert float(row["p_value"]) == pytest.approx(record["p_value"], abs=1e-6)
    assert len({record["score"] for record in records if isinstance(record, dict)}) > 1


def test_a_broken_clip_is_left_out_or_ends_the_evaluation(
    done: tuple[Path, Summary],
    run: Run,
    sounds: Path,
    *,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(sounds, data)
    for split in ("train", "test"):
        name = f"section_00_source_{split}_normal_9999.wav"
        (data / "fan" / split / name).write_text("words")
    asked = replace(order(data, tmp_path / "out"), reference=False)
    summary = evaluate(of_run(run.path, "cpu"), asked)
    assert summary["sections"] == done[1]["sections"]
    assert caplog.messages[-1] == "2 of 30 recordings are left out"
    strict = replace(asked, reading=Reading(strict=True))
    with pytest.raises(SoundError, match=r"2 of 30 .*_train_normal_9999\.wav"):
        evaluate(of_run(run.path, "cpu"), strict)


def test_random_weights_are_settled_and_repeat(run: Run) -> None:
    one, other, third = (fresh_network(run, seed) for seed in (1, 1, 2))
    trained = run.network().state_dict()
    units = run.calibration()[0]
    for name, value in one.state_dict().items():
        assert value.equal(other.state_dict()[name])
        assert name not in trained or value.shape == trained[name].shape
    assert any(not v.equal(third.state_dict()[n]) for n, v in one.state_dict().items())
    ear = Ear.of_run(run, "cpu", 1)
    assert ear.sha256 != Ear.of_run(run, "cpu").sha256
    assert ear.network is not None
    vectors = ear.network.embed_all(units)
    # With the statistics of a fresh network they would all but coincide.
    spread = vectors.std(axis=0).mean() / np.abs(vectors).mean()
    assert spread > 0.1


def test_what_cannot_be_evaluated_is_named(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    subject = of_run(run.path, "cpu")
    with pytest.raises(SoundError, match="no test clips of boiler"):
        evaluate(subject, replace(order(sounds, tmp_path / "a"), machines=("boiler",)))
    lone = tmp_path / "lone"
    test = read_folder(sounds, "test", ("fan",))[0]
    path = lone / "fan" / "test" / test.path.name
    path.parent.mkdir(parents=True)
    path.symlink_to(test.path)
    with pytest.raises(SoundError, match="no training clips to learn from"):
        evaluate(subject, order(lone, tmp_path / "b"))
    with pytest.raises(SoundError, match="no such folder"):
        evaluate(subject, order(tmp_path / "nowhere", tmp_path / "c"))
