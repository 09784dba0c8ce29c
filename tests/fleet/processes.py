"""Processes of a plant: commands, a push that takes its time, an agent."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.store import Store
from asd_agent.mqtt.topics import Topics
from support.broker import wait_for

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""Seconds that an update may take on a machine that does much else"""
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": os.pathsep.join(str(ROOT / p) for p in ("agent", "train", "export")),
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
}


def command(module: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the agent or of the exporter to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE_S,
    )


def succeed(module: str, *words: str | Path) -> str:
    """Run a command that must end with 0; what it printed."""
    done = command(module, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Push:
    """``asd-export push`` while it runs."""

    def __init__(self, log: Path, words: Sequence[str | Path]) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "asd_export", *words],
                env=ENVIRONMENT,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def end(self) -> int:
        """Wait for its end; its exit code."""
        return self._process.wait(PATIENCE_S)


@dataclass(slots=True)
class Machine:
    """One device: its configuration, what it knows, its process."""

    name: str
    folder: Path
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.folder / "asd.yaml"

    @property
    def state(self) -> Path:
        """Its state folder."""
        return self.folder / "state"

    @property
    def log(self) -> Path:
        """What its agent has said."""
        return self.folder / "log"

    @property
    def store(self) -> Store:
        """Its bundles, looked at from outside."""
        return Store(self.state / "bundles")

    @property
    def topics(self) -> Topics:
        """Its topics."""
        return Topics("factory", self.name)

    @property
    def runs(self) -> bool:
        """Whether its agent runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start its agent, up to the line "ready"."""
        words = (sys.executable, "-m", "asd_agent", "--config", self.file)
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, stderr=log, env=ENVIRONMENT)

        def ready() -> bool:
            assert self.runs, self.log.read_text()
            return b" ready\n" in self.log.read_bytes()[before:]

        wait_for(ready, f"{self.name} is ready", PATIENCE_S)

    def stop(self) -> None:
        """End it as systemd does."""
        if self._process is not None:
            self._process.terminate()
            code = self._process.wait(10)
            assert code == 0, f"{code}: {self.log.read_text()}"
            self._process = None

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._process = None
