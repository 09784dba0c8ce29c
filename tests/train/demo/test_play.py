"""The demonstration as a whole, in real time: these tests take seconds."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from asd_train.demo.play import play
from asd_train.demo.story import Story
from support.bundles import forge

SHORT = Story(learn_s=40.0, onset_s=4.0, growth_s=1.0, stream_s=20.0)
"""Windows of the forged bundle are half a second long, not ten"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle")


def test_the_fault_is_found(bundle: Path) -> None:
    out = io.StringIO()
    assert play(SHORT, Console(file=out, width=200), bundle)
    text = out.getvalue()
    assert "Detected: the alarm was raised" in text
    assert "anomalous" in text
    assert "asd-agent devices" in text


def test_without_a_fault_it_does_not_succeed(bundle: Path) -> None:
    out = io.StringIO()
    well = Story(learn_s=40.0, onset_s=99.0, stream_s=6.0)
    assert not play(well, Console(file=out, width=200), bundle)
    assert "NOT detected" in out.getvalue()


def test_ctrl_c_leaves_nothing_behind(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    demo = subprocess.Popen(
        (sys.executable, "-m", "asd_train.demo", "--bundle", bundle),
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("3."):
            break
    assert list(folder.glob("asd-demo-*"))
    demo.send_signal(signal.SIGINT)
    _, said = demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert said.strip() == "interrupted"
    assert list(folder.iterdir()) == []
    left = subprocess.run(
        ("pgrep", "-f", str(folder)), capture_output=True, check=False
    )
    assert left.returncode == 1, "an agent is left"


def test_no_heavy_library_is_loaded() -> None:
    program = (
        "import sys, asd_train.demo.cli\n"
        "heavy = {'torch', 'onnx', 'sklearn', 'scipy', 'tqdm', 'litert_torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        (sys.executable, "-c", program),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_a_missing_library_is_said_in_one_line(tmp_path: Path) -> None:
    # A broken amqtt in front of the real one, as if it were not installed.
    (tmp_path / "amqtt.py").write_text("raise ModuleNotFoundError('No amqtt')\n")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    done = subprocess.run(
        (sys.executable, "-m", "asd_train.demo"),
        env=os.environ | {"PYTHONPATH": path},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "No amqtt; pip install 'asd[demo]'\n"
