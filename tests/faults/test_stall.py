"""A source whose scoring hangs starves the watchdog, and the agent begins anew."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.agents import Agent, agent

STALL_S = 3.0
AGENT = f"""
import sys, time
from pathlib import Path
from asd_agent import cli, ears, watchdog
watchdog.STALL_S = {STALL_S}
watchdog.FEED_S = 0.5
stall, hear = Path(sys.argv[1]), ears.Ears.step
def step(self, block):
    while stall.exists():
        time.sleep(0.1)
    yield from hear(self, block)
ears.Ears.step = step
sys.exit(cli.main(sys.argv[2:]))
"""


class Systemd:
    """As much of it as listens to what a service says."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(1.0)

    def hear(self, seconds: float, until: str | None = None) -> list[str]:
        """What is said for so long, or until a line comes."""
        end_s, lines = time.monotonic() + seconds, list[str]()
        while time.monotonic() < end_s and until not in lines:
            try:
                lines += self._socket.recv(4096).decode().splitlines()
            except TimeoutError:
                continue
        return lines

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    found = Systemd(tmp_path)
    yield found
    found.close()


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    folder = tmp_path / "agent"
    folder.mkdir()
    found = agent(folder)
    found.configure(recording=str(found.normal), pace="realtime", loop=True)
    return found


def start(made: Agent, systemd: Systemd) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", AGENT, str(made.folder / "stall")]
    return subprocess.Popen(
        [*words, "--config", str(made.file)],
        env=os.environ
        | {
            "NOTIFY_SOCKET": str(systemd.path),
            "WATCHDOG_USEC": "30000000",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stderr=subprocess.PIPE,
    )


def test_a_scorer_that_hangs_starves_the_watchdog_and_is_left(
    made: Agent, systemd: Systemd
) -> None:
    process = start(made, systemd)
    try:
        assert "READY=1" in systemd.hear(60, "READY=1")
        assert systemd.hear(10).count("WATCHDOG=1") > 10
        stall = made.folder / "stall"
        stall.touch()
        began_s = time.monotonic()
        said = systemd.hear(60, "READY=1")
        assert "READY=1" in said, said
        assert time.monotonic() - began_s > STALL_S
        # What was heard before it hung; afterwards nothing fed it.
        assert said.count("WATCHDOG=1") <= 3
        assert process.poll() is None  # the same process, begun anew
        stall.unlink()
        assert "WATCHDOG=1" in systemd.hear(30, "WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        assert "STOPPING=1" in systemd.hear(10, "STOPPING=1")
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors.decode()
        assert b"pump: hangs; the agent begins anew" in errors
    finally:
        process.kill()
        process.wait()
