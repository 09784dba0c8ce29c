"""Training: what it leaves, that it goes on where it stopped, that it learns."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import load_file

from asd_agent.errors import ConfigError, SoundError
from asd_agent.features import units
from asd_train.acceleration import make_task
from asd_train.augment import AugmentSpec
from asd_train.budget import Budget, learning_rate, settle
from asd_train.checkpoint import Learner
from asd_train.data.reading import Reading
from asd_train.data.units import read_wave, to_float
from asd_train.dataset import Dataset
from asd_train.distributed import ALONE
from asd_train.environment import pick_device
from asd_train.fit import Plan, describe, fit, start
from asd_train.loader import Lesson
from asd_train.loop import take_step
from asd_train.losses import fixed_scale
from asd_train.recipe import Recipe, TrainingSpec, load
from asd_train.run import Run, RunError

SMOKE = load("smoke")
CPU = Plan(device="cpu")
RESUME = Plan(device="cpu", resume=True)


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
    as_heard = found[0::2]  # the others are of less sensitive microphones
    assert np.abs(as_heard.mean(axis=(0, 2))).max() < 0.4
    assert np.abs(as_heard.std(axis=(0, 2)) - 1).max() < 0.4
    assert found[1::2].mean() < as_heard.mean() - 1
    text = (run.path / "run.json").read_text()
    assert json.loads(text)["features"]["mean_db"] == list(run.info.features.mean_db)


def test_heldout_units_are_those_of_the_test_clips(run: Run, sounds: Path) -> None:
    held = run.heldout()
    assert held.units.shape[1:] == (64, 32)
    assert set(held.anomaly) == {0, 1}
    assert set(held.labels) == {0, 1, 2, 3}
    assert (np.diff(held.clip) >= 0).all()
    assert len(np.unique(held.clip)) == 16
    clips = Dataset.read(sounds, SMOKE).heldout
    first = [clip.label for clip in clips].index("normal")
    assert set(held.anomaly[held.clip == first]) == {0}
    wave = to_float(read_wave(clips[first], run.info.features))
    expected = units(run.info.features, wave)[:10]
    assert np.array_equal(held.units[held.clip == first], expected)


def test_golden_sound_is_that_of_the_training_clips(run: Run, sounds: Path) -> None:
    audio = run.golden_audio()
    dataset = Dataset.read(sounds, SMOKE)
    np.testing.assert_array_equal(audio, dataset.golden_audio(run.info.features))
    heard = [wave.tobytes() for wave in dataset.waves]
    assert all(any(clip.tobytes() in wave for wave in heard) for clip in audio[:-1])


def test_metrics_have_one_row_a_step(run: Run) -> None:
    rows = [
        json.loads(x) for x in (run.path / "metrics.jsonl").read_text().split("\n")[:-1]
    ]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(np.isfinite(row["loss"]) and 0 <= row["accuracy"] <= 1 for row in rows)


def test_the_same_seed_gives_the_same_weights(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    again = fit(SMOKE, sounds, tmp_path / "again", Budget(6), plan=CPU)
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
            Budget(6),
            plan=Plan(device="cpu", stopped=iter([False, True]).__next__),
        )
    assert json.loads((folder / "checkpoint.json").read_text())["step"] == 2
    assert not (folder / "model.safetensors").exists()
    fit(SMOKE, sounds, folder, Budget(), plan=RESUME)
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
    (folder / "model.safetensors").unlink()
    less = tmp_path / "less"
    shutil.copytree(sounds / "fan", less / "fan")
    with pytest.raises(ConfigError, match="other classes"):
        fit(SMOKE, less, folder, Budget(), plan=RESUME)


def test_a_folder_that_holds_something_is_refused(run: Run, sounds: Path) -> None:
    with pytest.raises(ConfigError, match="--resume"):
        fit(SMOKE, sounds, run.path, Budget(6))


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


def _with_a_broken_file(sounds: Path, root: Path) -> Path:
    shutil.copytree(sounds, root, dirs_exist_ok=True)
    broken = root / "fan" / "train" / "section_00_source_train_normal_9999.wav"
    broken.write_text("words")
    return broken


def test_a_broken_file_is_left_out_or_ends_the_run(
    sounds: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = _with_a_broken_file(sounds, tmp_path)
    assert len(Dataset.read(tmp_path, SMOKE).waves) == 12
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith(f"{broken}: ")
    assert last == "1 of 29 recordings are left out"
    with pytest.raises(SoundError, match=f"first is {broken}"):
        Dataset.read(tmp_path, SMOKE, Reading(strict=True))


def test_another_process_does_not_warn_again(
    sounds: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _with_a_broken_file(sounds, tmp_path)
    caplog.set_level("INFO")
    assert len(Dataset.read(tmp_path, SMOKE, quiet=True).waves) == 12
    assert not caplog.records


def test_resume_refuses_another_channel(run: Run, sounds: Path, tmp_path: Path) -> None:
    root, folder = tmp_path / "stereo", tmp_path / "run"
    shutil.copytree(run.path, folder)
    (folder / "model.safetensors").unlink()
    for path in sounds.rglob("*.wav"):
        samples, rate_hz = soundfile.read(path)
        (root / path.relative_to(sounds)).parent.mkdir(parents=True, exist_ok=True)
        both = np.stack([samples, samples], axis=1)
        soundfile.write(root / path.relative_to(sounds), both, rate_hz)
    assert run.info.data["channel"] == 0
    with pytest.raises(ConfigError, match="resume it with --channel 0"):
        fit(SMOKE, root, folder, Budget(), plan=RESUME, reading=Reading(channel=1))


@pytest.mark.parametrize("kind", ["adacos", "subcluster_adacos"])
def test_a_factor_that_follows_the_batches_is_learnt_with(
    kind: str, sounds: Path, tmp_path: Path
) -> None:
    loss = {"kind": kind, "subclusters": 2, "dynamic_scale": True}
    recipe = Recipe.model_validate(SMOKE.model_dump() | {"loss": loss})
    done = fit(recipe, sounds, tmp_path / "run", Budget(2), plan=CPU)
    scale = load_file(done.path / "checkpoint.safetensors")["head.scale"]
    assert scale != pytest.approx(fixed_scale(4 if kind == "adacos" else 8))


def test_time_ends_training_too(sounds: Path, tmp_path: Path) -> None:
    ticks: Iterator[int] = iter(range(1000))
    done = fit(
        SMOKE,
        sounds,
        tmp_path / "run",
        Budget(None, 0.05),
        plan=Plan(device="cpu", clock=lambda: float(next(ticks))),
    )
    assert done.info.steps == 3


def test_rate_rises_then_falls_to_its_final_part() -> None:
    spec = TrainingSpec(steps=10, learning_rate=1.0, final_rate=0.1, warmup=0.2)
    rates = [learning_rate(spec, p) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.55, 0.1])


def _step(learner: Learner, units: np.ndarray, *labels: np.ndarray) -> torch.Tensor:
    spec, device = SMOKE.training, torch.device("cpu")
    task = make_task(learner.network, learner.head, spec, device, ALONE)
    lesson = Lesson(*(torch.from_numpy(part) for part in (units, *labels)))
    return take_step(learner, task, lesson, 3e-3)


def _learn(recipe: Recipe, sounds: Path, steps: int) -> np.ndarray:
    dataset = Dataset.read(sounds, recipe)
    info = describe(recipe, dataset)
    learner = start(recipe, info, torch.device("cpu"))
    sampler = dataset.sampler(info.features, AugmentSpec(), 0)
    batches = [sampler.batch(i, 16) for i in range(steps)]
    rows = [_step(learner, b.units, b.labels, b.others, b.shares) for b in batches]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("network", ["mobilefacenet", "mobilenetv2"])
def test_four_machines_are_told_apart(network: str, sounds: Path) -> None:
    shape = {"name": network, "embedding": 16}
    recipe = Recipe.model_validate(SMOKE.model_dump() | {"network": shape})
    rows = _learn(recipe, sounds, 25)
    assert rows[-5:, 1].mean() > 0.6
    assert rows[-1, 0] < 0.7 * rows[0, 0]


def test_mixed_labels_share_the_loss(sounds: Path) -> None:
    dataset = Dataset.read(sounds, SMOKE)
    info = describe(SMOKE, dataset)
    batch = dataset.sampler(info.features, AugmentSpec(), 0).batch(0, 4)
    losses = []
    for share in (1.0, 0.5, 0.0):
        learner = start(SMOKE, info, torch.device("cpu"))
        other = (batch.labels + 1) % 4
        shares = np.full(4, share, np.float32)
        outcome = _step(learner, batch.units, batch.labels, other, shares)
        losses.append(outcome[0].item())
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-4)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ConfigError, match="no GPU"):
        pick_device("cuda")


def test_a_complete_run_is_left_as_it_is(run: Run, sounds: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert fit(SMOKE, sounds, run.path, Budget(), plan=RESUME).info == run.info
    after = {path.name: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert after == before


def test_a_run_keeps_the_length_that_it_was_begun_with() -> None:
    spec = SMOKE.training
    assert settle(Budget(), Budget(), spec) == Budget(6)
    assert settle(Budget(9), Budget(), spec) == Budget(9)
    assert settle(Budget(), Budget(9), spec) == Budget(9)
    assert settle(Budget(9), Budget(9), spec) == Budget(9)
    with pytest.raises(ConfigError, match=r"begun with --steps 9, not --minutes 2\.5"):
        settle(Budget(None, 2.5), Budget(9), spec)


def test_minutes_are_divided_among_runs_and_steps_are_not() -> None:
    assert Budget(None, 30.0).shared(4) == Budget(None, 7.5)
    assert Budget(30).shared(4) == Budget(30)


def test_resume_refuses_another_seed(run: Run, sounds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    (folder / "model.safetensors").unlink()
    training = SMOKE.training.model_copy(update={"seed": 7})
    other = SMOKE.model_copy(update={"training": training})
    with pytest.raises(ConfigError, match="begun with another recipe, seed"):
        fit(other, sounds, folder, Budget(), plan=RESUME)


def test_resume_refuses_a_folder_of_something_else(
    sounds: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match=r"no checkpoint .* holds thesis\.tex"):
        fit(SMOKE, sounds, tmp_path, Budget(), plan=RESUME)


def test_a_run_can_begin_from_the_weights_of_another(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    # A rate of nearly 0: what comes out is what went in.
    still = SMOKE.training.model_copy(update={"learning_rate": 1e-30})
    recipe = SMOKE.model_copy(update={"training": still})
    tuned = fit(recipe, sounds, tmp_path / "a", Budget(1), plan=CPU, init=run)
    assert tuned.info.features == run.info.features
    assert tuned.info.init == "smoke seed 1 steps 6"
    for name, values in run.network().named_parameters():
        assert torch.equal(tuned.network().get_parameter(name), values), name
    saved, began = (
        load_file(path / "checkpoint.safetensors") for path in (tuned.path, run.path)
    )
    assert np.array_equal(saved["head.centres"], began["head.centres"])


def test_the_head_is_fresh_where_classes_differ(
    run: Run, sounds: Path, tmp_path: Path
) -> None:
    recipe = SMOKE.model_copy(update={"machines": ("fan",)})
    tuned = fit(recipe, sounds, tmp_path / "a", Budget(1), plan=CPU, init=run)
    assert tuned.info.classes == ("fan/00", "fan/01")
    assert tuned.info.features == run.info.features
    head = load_file(tuned.path / "checkpoint.safetensors")["head.centres"]
    assert head.shape == (2, 16)


@pytest.mark.parametrize(
    ("key", "changes", "message"),
    [
        ("network", {"embedding": 8}, "its network is"),
        ("features", {"hop": 32}, "its features are not those"),
    ],
)
def test_weights_of_another_kind_of_run_are_refused(
    key: str,
    changes: dict[str, int],
    message: str,
    *,
    run: Run,
    sounds: Path,
    tmp_path: Path,
) -> None:
    changed = getattr(SMOKE, key).model_copy(update=changes)
    recipe = SMOKE.model_copy(update={key: changed})
    with pytest.raises(ConfigError, match=message):
        fit(recipe, sounds, tmp_path / "a", Budget(1), plan=CPU, init=run)
