"""Training: what it leaves, that it goes on where it stopped, that it learns."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from asd_agent.errors import ConfigError, SoundError
from asd_agent.features import units
from asd_train.augment import AugmentSpec
from asd_train.data.units import Batch
from asd_train.dataset import Dataset
from asd_train.environment import pick_device
from asd_train.fit import Budget, describe, fit, learning_rate, start, take_step
from asd_train.recipe import Recipe, TrainingSpec, load
from asd_train.run import Run

SMOKE = load("smoke")


def _weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def test_a_run_holds_all_that_the_exporter_reads(run: Run) -> None:
    assert sorted(path.name for path in run.path.iterdir()) == [
        "calibration.safetensors",
        "checkpoint.json",
        "checkpoint.safetensors",
        "golden.safetensors",
        "heldout.safetensors",
        "metrics.jsonl",
        "model.safetensors",
        "recipe.yaml",
        "run.json",
    ]
    assert run.recipe == SMOKE
    assert run.info.classes == ("fan/00", "fan/01", "pump/00", "pump/01")
    assert run.info.steps == 6
    assert run.info.data["clips"] == 12
    assert run.info.data["machines"] == "fan, pump"
    assert {"loss", "accuracy", "heldout_accuracy"} == set(run.info.metrics)


def test_features_are_normalised_by_the_training_units(run: Run) -> None:
    found, labels = run.calibration()
    assert found.shape == (200, 64, 32)
    assert set(labels) == {0, 1, 2, 3}
    assert np.abs(found.mean(axis=(0, 2))).max() < 0.3
    assert np.abs(found.std(axis=(0, 2)) - 1).max() < 0.3
    text = (run.path / "run.json").read_text()
    assert json.loads(text)["features"]["mean_db"] == list(run.info.features.mean_db)


def test_heldout_units_are_those_of_the_test_clips(run: Run, sounds: Path) -> None:
    held = run.heldout()
    assert held.units.shape[1:] == (64, 32)
    assert set(held.anomaly) == {0, 1}
    assert set(held.labels) == {0, 1, 2, 3}
    assert (np.diff(held.clip) >= 0).all()
    assert len(np.unique(held.clip)) == 16
    labels = [clip.label for clip in Dataset.read(sounds, SMOKE).heldout]
    first = labels.index("normal")
    assert set(held.anomaly[held.clip == first]) == {0}
    expected = units(run.info.features, run.golden_audio())[:10]
    assert np.array_equal(held.units[held.clip == first], expected)


def test_metrics_have_one_row_a_step(run: Run) -> None:
    rows = [
        json.loads(x) for x in (run.path / "metrics.jsonl").read_text().split("\n")[:-1]
    ]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(np.isfinite(row["loss"]) and 0 <= row["accuracy"] <= 1 for row in rows)


def test_the_same_seed_gives_the_same_weights(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    again = fit(SMOKE, sounds, tmp_path / "again", Budget(6, None), device="cpu")
    for name, values in _weights(run.path).items():
        assert np.array_equal(_weights(again.path)[name], values), name


def test_a_resumed_run_equals_an_uninterrupted_one(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(
            SMOKE,
            sounds,
            folder,
            Budget(6, None),
            device="cpu",
            stopped=iter([False, True]).__next__,
        )
    assert json.loads((folder / "checkpoint.json").read_text())["step"] == 2
    assert not (folder / "model.safetensors").exists()
    fit(SMOKE, sounds, folder, Budget(6, None), device="cpu", resume=True)
    for name, values in _weights(run.path).items():
        assert np.array_equal(_weights(folder)[name], values), name
    one, other = (
        load_file(path / "checkpoint.safetensors") for path in (run.path, folder)
    )
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_resume_refuses_other_recordings(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    less = tmp_path / "less"
    shutil.copytree(sounds / "fan", less / "fan")
    with pytest.raises(ConfigError, match="other classes"):
        fit(SMOKE, less, folder, Budget(8, None), device="cpu", resume=True)


def test_a_folder_that_holds_something_is_refused(run: Run, sounds: Path) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        fit(SMOKE, sounds, run.path, Budget(6, None))


def test_without_a_test_folder_clips_of_each_class_are_held_out(
    sounds: Path, tmp_path: Path
) -> None:
    for machine in ("fan", "pump"):
        shutil.copytree(sounds / machine / "train", tmp_path / machine / "train")
    dataset = Dataset.read(tmp_path, SMOKE)
    assert len(dataset.waves) == 8
    assert sorted((c.machine, c.section) for c in dataset.heldout) == [
        ("fan", "00"),
        ("fan", "01"),
        ("pump", "00"),
        ("pump", "01"),
    ]


def test_an_anomaly_among_the_training_clips_is_not_learnt(
    sounds: Path, tmp_path: Path
) -> None:
    shutil.copytree(sounds, tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "fan" / "train"
    one = next(folder.iterdir())
    one.rename(folder / one.name.replace("normal", "anomaly"))
    assert len(Dataset.read(tmp_path, SMOKE).waves) == 11


def test_one_class_is_too_few(sounds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fan" / "train"
    folder.mkdir(parents=True)
    for path in (sounds / "fan" / "train").glob("section_00*"):
        shutil.copy(path, folder)
    with pytest.raises(SoundError, match="2 training clips of 1 classes"):
        Dataset.read(tmp_path, SMOKE)


def test_time_ends_training_too(sounds: Path, tmp_path: Path) -> None:
    ticks: Iterator[int] = iter(range(1000))
    done = fit(
        SMOKE,
        sounds,
        tmp_path / "run",
        Budget(None, 0.05),
        device="cpu",
        clock=lambda: float(next(ticks)),
    )
    assert done.info.steps == 3


def test_rate_rises_then_falls_to_its_final_part() -> None:
    spec = TrainingSpec(steps=10, learning_rate=1.0, final_rate=0.1, warmup=0.2)
    rates = [learning_rate(spec, p) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.55, 0.1])


def _learn(recipe: Recipe, sounds: Path, steps: int) -> list[dict[str, float]]:
    dataset = Dataset.read(sounds, recipe)
    info = describe(recipe, dataset)
    learner = start(recipe, info, torch.device("cpu"))
    sampler = dataset.sampler(info.features, AugmentSpec(), 0)
    return [take_step(learner, sampler.batch(i, 16), 3e-3) for i in range(steps)]


@pytest.mark.parametrize("network", ["mobilefacenet", "mobilenetv2"])
def test_four_machines_are_told_apart(network: str, sounds: Path) -> None:
    shape = {"name": network, "embedding": 16}
    recipe = Recipe.model_validate(SMOKE.model_dump() | {"network": shape})
    rows = _learn(recipe, sounds, 25)
    assert np.mean([row["accuracy"] for row in rows[-5:]]) > 0.6
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]


def test_mixed_labels_share_the_loss(sounds: Path) -> None:
    dataset = Dataset.read(sounds, SMOKE)
    info = describe(SMOKE, dataset)
    batch = dataset.sampler(info.features, AugmentSpec(), 0).batch(0, 4)
    losses = []
    for share in (1.0, 0.5, 0.0):
        learner = start(SMOKE, info, torch.device("cpu"))
        other = (batch.labels + 1) % 4
        mixed = Batch(batch.units, batch.labels, other, np.full(4, share, np.float32))
        losses.append(take_step(learner, mixed, 1e-3)["loss"])
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-4)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no GPU"):
        pick_device("cuda")
