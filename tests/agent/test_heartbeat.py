"""The health check of a container: alive, not begun yet, or stalled and ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asd_agent import heartbeat
from asd_agent.heartbeat import Beat, Heartbeat

MODULE = [sys.executable, "-m", "asd_agent.heartbeat"]
AGENT = Path(heartbeat.__file__).parents[1]
STALLED = """\
import faulthandler, os, sys, time
from pathlib import Path
from asd_agent.heartbeat import Heartbeat
faulthandler.enable()
Heartbeat(Path(sys.argv[1]), clock=lambda: time.monotonic() - 60).beat()
def here_it_stalls():
    print("up", flush=True)
    time.sleep(600)
here_it_stalls()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "heartbeat"


def check(path: Path | None) -> subprocess.CompletedProcess[str]:
    """The command of the health check."""
    environment = os.environ | {"PYTHONPATH": str(AGENT)}
    environment.pop("ASD_HEARTBEAT", None)
    if path:
        environment["ASD_HEARTBEAT"] = str(path)
    return subprocess.run(
        MODULE, env=environment, capture_output=True, text=True, check=False
    )


def test_an_agent_that_beats_is_alive(path: Path) -> None:
    Heartbeat(path).beat()
    done = check(path)
    assert (done.returncode, done.stdout) == (0, "alive 0 s ago\n")


def test_an_agent_that_has_not_begun_is_left_alone(path: Path) -> None:
    done = check(path)
    assert done.returncode == 1
    assert "no sign of life yet" in done.stdout


def test_without_a_file_it_says_what_is_missing() -> None:
    done = check(None)
    assert done.returncode == 1
    assert "ASD_HEARTBEAT names no file" in done.stderr


@pytest.mark.parametrize("stopped", [False, True], ids=["stalled", "stopped"])
def test_an_agent_that_stalled_is_ended_and_says_where(
    path: Path, stopped: bool
) -> None:
    words = [sys.executable, "-c", STALLED, str(path)]
    with subprocess.Popen(
        words,
        env=os.environ | {"PYTHONPATH": str(AGENT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stdout
        assert agent.stderr
        assert agent.stdout.readline() == "up\n"
        if stopped:
            agent.send_signal(signal.SIGSTOP)
        done = check(path)
        assert done.returncode == 1
        assert "stalled for 6" in done.stdout
        assert agent.wait(5) == -signal.SIGABRT
        assert "here_it_stalls" in agent.stderr.read()
    assert not path.exists()


def test_one_that_does_not_obey_is_killed(path: Path) -> None:
    now = time.monotonic()
    Heartbeat(path, clock=lambda: now - Heartbeat.LIMIT_S - 1).beat()
    sent: list[float] = []
    code = heartbeat.main(
        {"ASD_HEARTBEAT": str(path)}, lambda _, number: sent.append(number), sent.append
    )
    assert code == 1
    assert sent == [
        *(signal.SIGABRT, signal.SIGCONT),
        heartbeat.ABORT_S,
        signal.SIGKILL,
    ]


@pytest.mark.parametrize(
    "text", ["", "7", "7 8 9", "a b", "-1 5.0", "0 5.0", "7 é", "7" * 1000]
)
def test_what_is_no_heartbeat_ends_nobody(path: Path, text: str) -> None:
    path.write_text(text)
    assert Heartbeat(path).read() is None


def test_a_beat_is_whole(path: Path) -> None:
    beating = Heartbeat(path, clock=lambda: 12.3456)
    beating.beat()
    assert beating.read() == Beat(os.getpid(), 12.346)
    assert list(path.parent.iterdir()) == [path]
