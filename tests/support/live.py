"""The whole agent on live sound: a real sound server, a real broker, a subscriber.

::

    with live_agent(folder, raise_="3 of 5") as live:
        live.learn(normal)                  # asd-agent learn --minutes, from the mic
        with live.running():                # asd-agent --config
            told = live.hear("fault", wav)  # plays it; the anomaly messages meanwhile
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from support.broker import Mosquitto, Subscriber, wait_for
from support.sound_server import SoundServer, sound_server

DEVICE = "bench"
SOURCE = "machine"
HURRY = """
import sys
from asd_agent import cli, service
service.HEALTH_S = {}
sys.exit(cli.main())
"""
START_S = 30.0
"""Longest wait for the agent to be ready"""


def write_tape(path: Path, files: list[Path]) -> float:
    """Join recordings of one rate into one; return its seconds."""
    parts: list[NDArray[np.float32]] = []
    for file in files:
        samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
        parts.append(samples[:, 0])
    tape = np.concatenate(parts)
    soundfile.write(path, tape, rate_hz)
    return len(tape) / float(rate_hz)


def seconds_of(path: Path) -> float:
    """Length of a recording."""
    return float(soundfile.info(path).duration)


class LiveAgent:
    """One agent that listens to the sound server's microphone."""

    def __init__(
        self,
        folder: Path,
        server: SoundServer,
        subscriber: Subscriber,
        config: str,
        *,
        health_s: float | None = None,
    ) -> None:
        self.pid = 0
        """Process of the agent that runs, or ran last"""
        self._health_s = health_s
        self._server = server
        self._subscriber = subscriber
        self._config = folder / "asd.yaml"
        self._config.write_text(config)
        self._log = folder / "agent.log"

    def learn(self, tape: Path) -> str:
        """Learn a recording through the microphone; return what the agent says."""
        # A little less than the tape: what is played after its end is silence.
        minutes = (seconds_of(tape) - 5) / 60
        with self._server.play(tape):
            done = subprocess.run(
                [*self._agent("learn"), "--minutes", f"{minutes:.3f}"],
                env=self._server.env,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds_of(tape) + START_S,
            )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the agent until the block ends; it must end well."""
        with self._log.open("wb") as log:
            agent = subprocess.Popen(self._agent(), env=self._server.env, stderr=log)
            self.pid = agent.pid
            try:
                wait_for(lambda: b" ready" in self._log.read_bytes(), "agent", START_S)
                yield
            finally:
                agent.terminate()
                code = agent.wait(10)
        assert code == 0, self._log.read_text()

    def hear(self, tape: Path) -> list[dict[str, Any]]:
        """Play a recording to its end; return the anomaly messages meanwhile."""
        heard = len(self.told())
        with self._server.play(tape):
            time.sleep(seconds_of(tape))
        return self.told()[heard:]

    def told(self) -> list[dict[str, Any]]:
        """All anomaly messages so far."""
        return [m.json() for m in self._subscriber.of(f"factory/{DEVICE}/anomaly")]

    def _agent(self, *verb: str) -> list[str]:
        start = ["-m", "asd_agent"]
        if self._health_s is not None:  # once a minute is too rare to look on
            start = ["-c", HURRY.format(self._health_s)]
        return [sys.executable, *start, *verb, "--config", str(self._config)]


@contextmanager
def live_agent(
    folder: Path, *, raise_: str = "3 of 5", clear: str = "0 of 5", bundle: str = "{}"
) -> Iterator[LiveAgent]:
    """Start a sound server, a broker and a subscriber around an agent."""
    with (
        sound_server() as server,
        Mosquitto(folder) as broker,
        Subscriber(broker.port, "factory/+/anomaly") as subscriber,
    ):
        config = f"""\
device: {DEVICE}
state_dir: {folder}/state
bundle: {bundle}
mqtt: {{host: 127.0.0.1, port: {broker.port}, tls: false}}
sources:
  - {{name: {SOURCE}, microphone: default}}
alarm: {{per_week: 1, raise: {raise_}, clear: {clear}}}
"""
        yield LiveAgent(folder, server, subscriber, config)
