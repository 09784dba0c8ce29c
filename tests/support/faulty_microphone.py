"""A microphone that breaks on command, behind a real sound server.

Each fault is a pair: what begins it, what ends it. The microphone is the null sink of
`support.sound_server`, and a player gives it the sound of a machine meanwhile.
"""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from support.sound_server import SoundServer
from support.sounds import noise

SECONDS = 120
"""Of every tape, which is longer than any fault"""
TAPE_HZ = 44_100
"""What PortAudio opens the sound server with, so nothing is resampled in between"""


def tapes(folder: Path) -> dict[str, Path]:
    """Write the machine, one value again and again, and a machine that clips."""
    machine = noise(SECONDS * TAPE_HZ, seed=7)
    made = {
        "machine": machine,
        "stuck": np.full(SECONDS * TAPE_HZ, 0.3, np.float32),
        "clipping": np.clip(machine * 30, -1, 1),
    }
    paths = {}
    for name, samples in made.items():
        paths[name] = folder / f"{name}.wav"
        soundfile.write(paths[name], samples, TAPE_HZ)
    return paths


class Player:
    """Plays one tape at a time into the microphone."""

    def __init__(self, server: SoundServer, tapes: dict[str, Path]) -> None:
        self._server = server
        self._tapes = tapes
        self._process: subprocess.Popen[bytes] | None = None

    def play(self, name: str) -> None:
        """Play a tape in the place of the one before."""
        self.stop()
        command = ["paplay", "--device=mic", str(self._tapes[name])]
        self._process = subprocess.Popen(command, env=self._server.env)

    def stop(self) -> None:
        """Play nothing: the microphone hears zeros."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a microphone."""

    name: str
    begin: Callable[[SoundServer, Player], None]
    end: Callable[[SoundServer, Player], None]
    reasons: frozenset[str]
    """What the agent may call it"""


def _again(server: SoundServer, player: Player) -> None:
    player.play("machine")


def _unload(server: SoundServer, player: Player) -> None:
    player.stop()
    server.unload()


def _load(server: SoundServer, player: Player) -> None:
    server.load()
    player.play("machine")


def _other_rate(server: SoundServer, player: Player) -> None:
    player.stop()
    server.unload()
    server.load(rate_hz=32_000)
    player.play("machine")


def _kill(server: SoundServer, player: Player) -> None:
    player.stop()
    server.kill()


def _start(server: SoundServer, player: Player) -> None:
    server.start()
    player.play("machine")


LOST = frozenset({"lost"})
FAULTS = (
    Fault("module unloaded", _unload, _load, LOST),
    Fault(
        "source suspended",
        lambda server, _: server.suspend(yes=True),
        lambda server, _: server.suspend(yes=False),
        LOST,
    ),
    Fault("sound server killed", _kill, _start, LOST),
    # It breaks and mends itself in one moment: there is nothing to end.
    Fault("rate switched", _other_rate, lambda *_: None, LOST | {"gap"}),
    Fault("zeros", lambda _, player: player.stop(), _again, frozenset({"silence"})),
    Fault(
        "stuck value",
        lambda _, player: player.play("stuck"),
        _again,
        frozenset({"stuck", "silence"}),
    ),
    Fault(
        "clipping",
        lambda _, player: player.play("clipping"),
        _again,
        frozenset({"clipped", "silence"}),
    ),
)
