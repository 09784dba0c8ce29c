"""What is found in a booted system is judged; booting it takes minutes and root."""

import copy
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from faults.booted import INSIDE
from faults.booted_table import ABORT_S, RESTART_S, STALLS, WATCHDOG_S, problems, report

HERE = Path(__file__).parent
UNIT = (HERE.parents[1] / "systemd" / "asd-agent.service").read_text()
STALL = {
    "noticed_s": 26.0,
    "by": "systemd",
    "ready_again_s": 30.0,
    "restarts": 1,
    "told where": True,
}
GOOD: dict[str, Any] = {
    "start": {"ready": True, "ready_s": 1.4},
    "state": {"learnt_s": 30.0, "files": ["outbox.db"]},
    "process": {"Uid": "65441"},
    "complaints": [],
    "bare": {"needed": {"TCP": "ok"}, "refused": {"mount": "ok"}},
    "shut in": {"needed": {"TCP": "ok"}, "refused": {"mount": "EPERM"}},
    "command": {"code": 0, "code of a mistake": 2, "owner stays": True, "said": []},
    "upgrade": {"code": 0, "another process": True, "ready": True},
    **dict.fromkeys(STALLS, STALL),
}


def changed(part: str, **values: Any) -> dict[str, Any]:
    found = copy.deepcopy(GOOD)
    found[part].update(values)
    return found


def test_what_is_well_is_told_as_tables() -> None:
    assert list(problems(GOOD)) == []
    text = report(GOOD)
    assert "| mount | ok | EPERM |" in text
    for name in STALLS.values():
        assert f"| {name} | 26.0 | systemd | 30.0 | True |" in text


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (changed("start", ready=False), "does not become ready"),
        (changed("state", learnt_s=-1.0), "nothing was learnt"),
        (changed("shut in", needed={"TCP": "EPERM"}), "refused: TCP: EPERM"),
        (changed("shut in", refused={"mount": "ok"}), "not refused: mount"),
        (changed("command", code=5), "asd-agent for people"),
        (changed("command", **{"owner stays": False}), "to another user"),
        (changed("upgrade", ready=False), "the upgrade"),
        (changed("stopped", noticed_s=36.0), "stopped: noticed after 36.0 s"),
        (changed("stopped", noticed_s=-1.0), "stopped: noticed after -1.0 s"),
        (changed("source", ready_again_s=61.0), "source: ready again after 61.0 s"),
        (changed("interpreter", by="agent"), "interpreter: 1 restarts by agent"),
        (GOOD | {"complaints": ["WARNING x"]}, "it complains: WARNING x"),
        (GOOD | {"scorer": "RuntimeError: it is not ready"}, "scorer: RuntimeError"),
        ({"start": GOOD["start"]}, "state: was not reached"),
    ],
)
def test_what_is_wrong_is_told(found: dict[str, Any], said: str) -> None:
    told = list(problems(found))
    assert any(said in text for text in told), told
    report(found)


def test_the_seconds_are_those_of_the_unit() -> None:
    told = {
        key: int(value) for key, value in re.findall(r"^(\w+Sec)=(\d+)$", UNIT, re.M)
    }
    assert told["WatchdogSec"] == WATCHDOG_S
    assert told["TimeoutAbortSec"] == ABORT_S
    assert told["RestartSec"] == RESTART_S


def test_what_runs_inside_is_there_and_needs_no_packages() -> None:
    for name in INSIDE:
        text = (HERE / name).read_text()
        packages = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
        assert "support" not in packages, name
        if name != "booted_stall.py":
            assert "asd_agent" not in packages, name


ACTS = """
from faults import booted_probe

def refuse():
    raise PermissionError(1, "Operation not permitted")

seen = []
print(booted_probe.outcome(lambda: seen.append(1)), seen)
print(booted_probe.outcome(refuse))
print(booted_probe.outcome(lambda: 1 / 0))
"""


def test_an_act_is_tried_in_a_process_of_its_own() -> None:
    # It forks, which this process must not: other tests have left threads in it.
    done = subprocess.run(
        [sys.executable, "-c", ACTS],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "ok []",
        "EPERM",
        "ZeroDivisionError: division by zero",
    ]
