"""The commands that open the training guide lead from nothing to a bundle."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members

ROOT = Path(__file__).parents[2]


# About 20 s: a run is simulated, trained, converted and tested for real.
def test_the_guide_ends_in_a_bundle(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "training.md").read_text()
    found = re.search(r"```\n(pip install .*?)```", guide, re.S)
    assert found
    _, *commands = found[1].strip().splitlines()
    assert [line.split()[0] for line in commands] == [
        "asd-train",
        "asd-train",
        "asd-export",
    ]
    for line in commands:
        program, *words = shlex.split(line.replace("/tmp/", f"{tmp_path}/"))  # noqa: S108 - the guide's folder, not ours
        module = program.replace("-", "_")
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert len(open_members(Bundle.open(tmp_path / "bundle"))) == 1
