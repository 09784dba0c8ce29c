"""A bundle is tested in a child before anything listens with it."""

import json
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from safetensors.numpy import load, save

from asd_agent.bundle.selftest import prove, verify
from asd_agent.errors import BundleError
from support.bundles import GOLDEN, MODEL, SMALL, forge, network, reforge


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle", embeds=True, statistics=True)


def shift(folder: Path, name: str, by: float) -> None:
    """Let the golden numbers say something else."""
    tensors = {k: v.copy() for k, v in load((folder / GOLDEN).read_bytes()).items()}
    tensors[name] += np.float32(by)
    reforge(folder, GOLDEN, save(tensors))


def reason(folder: Path, **limits: float) -> str:
    with pytest.raises(BundleError) as caught:
        prove(folder, **limits)  # type: ignore[arg-type]  # by name
    return caught.value.reason


def test_every_number_is_proven(folder: Path) -> None:
    proof = prove(folder)
    assert proof.ok
    assert [(row.member, row.file, row.what) for row in proof.rows] == [
        ("member-0", MODEL.file, "features"),
        *[
            (member, file, what)
            for member, file in (("member-0", MODEL.file), ("statistics", ""))
            for what in ("vector", "pooled", "score", "p_value")
        ],
    ]
    assert proof.rows[0].library.startswith("onnxruntime ")
    assert proof.rows[-1].library == "numpy"


def test_other_numbers_are_a_reason(folder: Path) -> None:
    shift(folder, f"score/member-0/{MODEL.file}", 0.1)
    with pytest.raises(BundleError, match=r"scores of .* differ by 0\.1") as e:
        prove(folder)
    assert e.value.reason == "differs"


def test_each_failure_has_its_reason(folder: Path) -> None:
    assert reason(folder, timeout_s=0.01) == "hung"
    assert reason(folder, memory_bytes=64 << 20) == "crashed"
    stop = Event()
    stop.set()
    with pytest.raises(BundleError) as caught:
        prove(folder, stop=stop)
    assert caught.value.reason == "stopped"
    with pytest.raises(BundleError) as caught:
        prove(folder, "tflite")
    assert caught.value.reason == "no_runtime"
    reforge(folder, MODEL.file, b"no network")
    assert reason(folder) == "broken"
    (folder / MODEL.file).write_bytes(b"NO network")
    assert reason(folder) == "changed"
    (folder / MODEL.file).unlink()
    assert reason(folder) == "missing_file"


def test_verify_shows_what_differs_and_goes_on(folder: Path) -> None:
    shift(folder, "vector/statistics", 0.1)
    proof = verify(folder)
    assert not proof.ok
    assert [row.what for row in proof.rows if not row.ok] == ["vector"]
    lines = list(proof.lines())
    assert len(lines) == 1 + len(proof.rows)
    assert sum("DIFFERS" in line for line in lines) == 1
    assert lines[-4].split() == [
        "statistics",
        "numpy",
        "vector",
        "0.1",
        "0.01",
        "DIFFERS",
    ]


def test_verify_shows_a_file_that_does_not_load(folder: Path) -> None:
    reforge(folder, MODEL.file, network((SMALL.bands, 9)))
    proof = verify(folder)
    assert proof.rows[0].what == "loads"
    assert "input has shape" in proof.rows[0].note
    assert all(row.ok for row in proof.rows[1:])
    with pytest.raises(BundleError, match="input has shape"):
        proof.require()


def test_by_hand_it_answers_in_json(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "asd_agent.bundle.selftest"]
    limits = ["--memory-bytes", str(1 << 30)]
    done = subprocess.run(
        [*command, str(folder), *limits], capture_output=True, text=True, check=True
    )
    assert len(json.loads(done.stdout)["rows"]) == 9
    done = subprocess.run(
        [*command, str(tmp_path / "none"), *limits],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == BundleError.exit_code
    assert json.loads(done.stdout)["reason"] == "missing_file"
