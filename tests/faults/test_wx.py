"""The agent needs no memory that is both written and run."""

import json
import subprocess
import sys

import pytest

from faults.no_wx import HOW
from faults.wx import STEPS, benches

ALONE = """\
import json, sys
from faults.no_wx import HOW, probes
before = probes()
HOW[sys.argv[1]]()
print(json.dumps([before, probes()]))
"""


@pytest.mark.parametrize("how", HOW)
def test_what_forbids_it_does(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, how],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    before, after = json.loads(done.stdout)
    assert before == {"map": True, "gain": True}
    assert after == {"map": False, "gain": False}


@pytest.mark.broker
@pytest.mark.microphone
@pytest.mark.parametrize(
    ("runtime", "how", "steps"),
    [
        ("onnx", "seccomp", ("learn", "score a recording")),
        ("tflite", "prctl", ("learn", "score a microphone")),
    ],
)
def test_the_agent_works(runtime: str, how: str, steps: tuple[str, ...]) -> None:
    """``python -m faults.wx`` does every step in every way."""
    with benches([runtime], [how]) as made:
        for bench, server in made:
            for name in steps:
                STEPS[name](bench, server)
