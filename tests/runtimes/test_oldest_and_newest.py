"""The agent works with the oldest and the newest libraries, and scores the same."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from asd_agent.scoring.pooling import PoolingSpec
from runtimes.environments import (
    ENVIRONMENTS,
    PYTHON,
    ROOT,
    Environment,
    here,
    make,
    proof_in,
)
from support.agents import Agent, agent
from support.bundles import forge

WHOLE_AGENT = (
    "cryptography==42.0.0",
    "paho-mqtt==2.1.0",
    "pyyaml==6.0.1",
    "sounddevice==0.4.6",
    "soundfile==0.12.1",
    "soxr==0.5.0",
    "urllib3==2.0.2",
)
"""Oldest of what the running agent needs besides"""


def label(environment: Environment) -> str:
    return environment.name


def test_every_python_has_an_old_and_a_new_one() -> None:
    for version in ((3, 10), (3, 11), (3, 12), (3, 13)):
        found = [e.runtime for e in ENVIRONMENTS if version in e.pythons]
        assert found.count("onnx") == 2
        assert "tflite" in found
    assert here(), f"say in ENVIRONMENTS what there is for Python {PYTHON}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("environment", here(), ids=label)
def test_the_packaged_bundle_scores_the_same(environment: Environment) -> None:
    proof = proof_in(environment, make(environment.packages), DEFAULT_BUNDLE)
    proof.require()
    # That very library was asked, and about a network.
    library = environment.name.replace("-", "_")
    files = {row.file for row in proof.rows if row.library == library}
    assert files
    assert all(file.endswith(environment.runtime) for file in files)


@pytest.mark.timeout(600)
def test_the_whole_agent_works_with_the_oldest_of_all(tmp_path: Path) -> None:
    made = agent(tmp_path)
    forge(
        tmp_path / "other", embeds=True, statistics=True, pooling=PoolingSpec(units=6)
    )
    made.file.write_text(made.file.read_text().replace("/bundle", "/other"))
    oldest = next(e for e in here() if e.runtime == "onnx")
    python = make((*oldest.packages, *WHOLE_AGENT))
    command(python, made, "check")
    old = taught_and_replayed(python, made)
    made.site.unlink()
    new = taught_and_replayed(Path(sys.executable), made)
    assert len(old) == len(new) > 50
    assert {row["state"] for row in new} >= {"normal", "anomalous"}
    for before, now in zip(old, new, strict=True):
        assert before["state"] == now["state"]
        assert before["score"] == pytest.approx(now["score"], rel=1e-3, abs=1e-5)
        assert before["p_value"] == pytest.approx(now["p_value"], rel=1e-2)


def taught_and_replayed(python: Path, made: Agent) -> list[dict[str, Any]]:
    command(python, made, "learn", "--from", str(made.normal))
    out = command(python, made, "replay", str(made.tape))
    return [json.loads(line) for line in out.splitlines()]


def command(python: Path, made: Agent, verb: str, *words: str) -> str:
    """Run a command of the agent; its output."""
    done = subprocess.run(
        [str(python), "-m", "asd_agent", verb, "--config", str(made.file), *words],
        env=os.environ | {"PYTHONPATH": str(ROOT / "agent")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
