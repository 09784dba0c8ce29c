"""Who shows no figures does not pay for the library that writes them."""

import subprocess
import sys
from pathlib import Path

PROBE = """
import sys
import asd_agent.health
import asd_agent.health.metrics
import asd_agent.health.snapshot
import asd_agent.health.system
print(sorted(name for name in sys.modules if name.startswith("prometheus_client")))
"""


def test_the_client_library_is_loaded_by_who_serves_alone() -> None:
    agent = Path(__file__).parents[3] / "agent"
    found = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(agent)},
    )
    assert found.stdout == "[]\n"
