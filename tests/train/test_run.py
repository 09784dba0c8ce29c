"""Reading a run: the weights come back, and what is broken is said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from asd_train.run import Run, RunError, write_atomic, write_tensors


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(run.path, folder)
    return folder


def test_network_comes_back_with_its_weights(run: Run) -> None:
    network = run.network()
    assert not network.training
    saved = load_file(run.path / "model.safetensors")
    state = network.state_dict()
    assert state.keys() == saved.keys()
    assert all(np.array_equal(state[key].numpy(), saved[key]) for key in saved)
    found, _ = run.calibration()
    with torch.inference_mode():
        embeddings = network(torch.from_numpy(found[:5, None]))
    assert embeddings.shape == (5, 16)
    assert torch.isfinite(embeddings).all()
    assert embeddings.std(dim=0).max() > 0


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it has no run\.json"):
        Run.open(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["model", "calibration", "heldout", "golden"],
)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / f"{name}.safetensors").unlink()
    run = Run.open(copy)
    readers = {
        "model": run.network,
        "calibration": run.calibration,
        "heldout": run.heldout,
        "golden": run.golden_audio,
    }
    with pytest.raises(RunError, match=f"{name}.safetensors is missing"):
        readers[name]()


def test_weights_of_another_network(copy: Path) -> None:
    text = (copy / "run.json").read_text()
    (copy / "run.json").write_text(text.replace('"embedding": 16', '"embedding": 17'))
    with pytest.raises(RunError, match="does not fit mobilefacenet"):
        Run.open(copy).network()


def test_tensors_that_are_none(copy: Path) -> None:
    (copy / "golden.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(RunError, match="not a safetensors file"):
        Run.open(copy).golden_audio()
    write_tensors(copy / "golden.safetensors", {"noise": torch.zeros(3)})
    with pytest.raises(RunError, match="no tensor 'audio'"):
        Run.open(copy).golden_audio()


def test_golden_sound_of_an_older_version(copy: Path) -> None:
    for audio in (torch.zeros(3), torch.zeros(3, 4), torch.zeros(3, dtype=torch.int16)):
        write_tensors(copy / "golden.safetensors", {"audio": audio})
        with pytest.raises(RunError, match="of an older version"):
            Run.open(copy).golden_audio()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"steps": 6', '"steps": "six"', "steps"),
        ('"format": 1', '"format": 2', "format 2"),
        ('"seed"', '"sead"', "seed"),
        ("{", "", "run.json"),
    ],
)
def test_a_broken_run_json(copy: Path, old: str, new: str, message: str) -> None:
    text = (copy / "run.json").read_text()
    assert old in text
    (copy / "run.json").write_text(text.replace(old, new, 1))
    with pytest.raises(RunError, match=message):
        Run.open(copy)


def test_channels_last_tensors_are_written_in_plain_order(tmp_path: Path) -> None:
    plain = torch.arange(24.0).reshape(1, 2, 3, 4)
    path = tmp_path / "x.safetensors"
    write_tensors(path, {"x": plain.to(memory_format=torch.channels_last)})
    assert np.array_equal(load_file(path)["x"], plain.numpy())


def test_an_atomic_write_leaves_no_draft(tmp_path: Path) -> None:
    write_atomic(tmp_path / "x", b"old")
    write_atomic(tmp_path / "x", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"new"
