"""The agent where no memory may be written and run: ``MemoryDenyWriteExecute``.

``PYTHONPATH=tests python -m faults.wx`` runs the real commands in processes that have
forbidden it themselves, by ``prctl(PR_SET_MDWE)`` and by a filter of system calls as
systemd's, and that have seen it refused. Each learns, tests its bundle in a child,
scores a recording, publishes by TLS, and hears a sound server. Without ``--runtime``
and ``--how`` all of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asd_agent.bundle.bundle import DEFAULT_BUNDLE
from faults.no_wx import HOW
from support.broker import Certificates, Mosquitto
from support.close_client import HOST, Client
from support.sound_server import SoundServer, sound_server
from support.sounds import noise, wav

RUNTIMES = ("onnx", "tflite")
RATE_HZ = 16_000
LEARN_S = 40
DEVICE, SOURCE = "press-07", "pump"
PASSWORD = "correct horse battery"  # noqa: S105 - of a broker that lives for a test
PATIENCE_S = 60.0
"""Longest wait for a scored window: models are loaded, and sound is heard in time"""


@dataclass(slots=True)
class Bench:
    """One agent on disk, and its broker."""

    folder: Path
    runtime: str
    how: str
    certificates: Certificates
    port: int
    env: dict[str, str] = field(default_factory=dict)

    def configure(self, source: str) -> Path:
        """Write the configuration with one source."""
        path = self.folder / "asd.yaml"
        path.write_text(
            f"device: {DEVICE}\nstate_dir: {self.folder}/state\n"
            f"bundle: {{runtime: {self.runtime}, allow_unsigned: true}}\n"
            f"mqtt:\n  host: {HOST}\n  port: {self.port}\n  username: {DEVICE}\n"
            f"  password_file: {self.folder}/password\n"
            f"  tls: {{ca: {self.certificates.ca}}}\n  interval_s: 0.1\n"
            f"sources: [{{name: {SOURCE}, {source}}}]\n"
        )
        return path

    def command(self, *words: str | Path) -> list[str]:
        """A command of the agent, where no memory may be written and run."""
        probes = str(self.folder / "probes")
        module = [sys.executable, "-m", "faults.no_wx", self.how, probes]
        return [*module, *map(str, words)]

    def run(self, *words: str | Path) -> None:
        """Run a command to its end, which must be good."""
        done = subprocess.run(
            self.command(*words),
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        self.check_probes()

    def check_probes(self) -> None:
        """See that the process was refused what it tried, before and after."""
        probes = json.loads((self.folder / "probes").read_text())
        assert probes["before"] == probes["after"] == {"map": False, "gain": False}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the agent until the block ends; it must end well."""
        config = self.folder / "asd.yaml"
        log = self.folder / "log"
        with log.open("wb") as file:
            agent = subprocess.Popen(
                self.command("--config", config), env=self.env, stderr=file
            )
            try:
                yield
            finally:
                agent.terminate()
                code = agent.wait(20)
        assert code == 0, log.read_text()
        self.check_probes()

    def scored(self, count: int = 3) -> list[dict[str, Any]]:
        """Wait for scored windows at the broker."""
        topic = f"factory/{DEVICE}/anomaly"
        with Client(
            self.port, self.certificates.ca, "auditor", PASSWORD, client_id="auditor"
        ) as auditor:
            auditor.connect()
            auditor.subscribe(topic)
            found: list[dict[str, Any]] = []
            end_s = time.monotonic() + PATIENCE_S
            while len(found) < count and time.monotonic() < end_s:
                time.sleep(0.1)
                messages = [json.loads(body) for body in auditor.bodies(topic)]
                found = [m for m in messages if m["p_value"] is not None]
        assert len(found) >= count, (self.folder / "log").read_text()
        return found


def learn(bench: Bench, server: SoundServer) -> None:
    """Learn from a recording."""
    bench.configure(f"recording: {bench.folder}/normal.wav")
    bench.run("learn", "--config", bench.folder / "asd.yaml", "--from", _normal(bench))


def prove(bench: Bench, server: SoundServer) -> None:
    """Test the bundle in a child, as after an update."""
    config = bench.configure(f"recording: {bench.folder}/normal.wav")
    bench.run("bundle", "verify", "--config", config, DEFAULT_BUNDLE)


def score_recording(bench: Bench, server: SoundServer) -> None:
    """Score a recording and publish by TLS."""
    bench.configure(f"recording: {bench.folder}/normal.wav, pace: realtime, loop: true")
    with bench.running():
        bench.scored()


def score_microphone(bench: Bench, server: SoundServer) -> None:
    """Score what a sound server gives, and publish by TLS."""
    bench.configure("microphone: default")
    with server.play(bench.folder / "normal.wav"), bench.running():
        bench.scored()


STEPS = {
    "learn": learn,
    "test in a child": prove,
    "score a recording": score_recording,
    "score a microphone": score_microphone,
}
"""In this order: later ones need what was learnt"""


@contextmanager
def benches(
    runtimes: Sequence[str] = RUNTIMES, hows: Sequence[str] = tuple(HOW)
) -> Iterator[list[tuple[Bench, SoundServer]]]:
    """Benches of every kind, a broker and a sound server."""
    with tempfile.TemporaryDirectory(prefix="asd-") as name, sound_server() as server:
        place = Path(name)
        tls = Certificates.make(place / "tls")
        user = (DEVICE, PASSWORD)
        with Mosquitto(place, tls=tls, user=user) as broker:
            _add_auditor(place / "passwords", broker)
            made = []
            for runtime in runtimes:
                for how in hows:
                    folder = place / f"{runtime}-{how}"
                    folder.mkdir()
                    (folder / "password").write_text(PASSWORD)
                    bench = Bench(folder, runtime, how, tls, broker.port)
                    bench.env = server.env | {
                        "PYTHONPATH": f"{Path(__file__).parents[1]}:"
                        f"{server.env['PYTHONPATH']}"
                    }
                    made.append((bench, server))
            yield made


def _normal(bench: Bench) -> Path:
    path = bench.folder / "normal.wav"
    if not path.exists():
        wav(path, noise(LEARN_S * RATE_HZ, seed=1).astype(np.float32), RATE_HZ)
    return path


def _add_auditor(passwords: Path, broker: Mosquitto) -> None:
    command = ("mosquitto_passwd", "-b", passwords, "auditor", PASSWORD)
    subprocess.run(command, check=True, capture_output=True)
    broker.stop()
    broker.start()


def main() -> int:
    """Print what worked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=RUNTIMES, action="append")
    parser.add_argument("--how", choices=HOW, action="append")
    args = parser.parse_args()
    right = total = 0
    print("| runtime | forbidden by | step | result |\n|---|---|---|---|")
    with benches(args.runtime or RUNTIMES, args.how or tuple(HOW)) as made:
        for bench, server in made:
            for name, step in STEPS.items():
                total += 1
                try:
                    step(bench, server)
                    result = "pass"
                except AssertionError as error:
                    result = f"FAIL {error}".replace("\n", " ")
                right += result == "pass"
                row = [bench.runtime, bench.how, name, result]
                print("| " + " | ".join(row) + " |", flush=True)
    print(f"\npassed: {right} of {total}")
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
