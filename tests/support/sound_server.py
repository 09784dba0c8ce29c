"""A sound server with a microphone that hears what a test plays.

::

    with sound_server() as server:                  # PulseAudio with a null sink
        with server.play(wav):                      # plays until the block ends
            subprocess.run([...], env=server.env)   # captures from "default"
        server.stop()                               # pulls the microphone out
        server.start()                              # plugs it in again

It is private to the test: own socket, own home, nothing of the machine's sound is
touched. PortAudio looks at the environment when it is loaded, so capture in a
subprocess with `server.env`; there the devices ``default`` and ``pulse`` exist and
both hear the null sink at 44,100 Hz. The first chunk comes after about 2 s. Works
as root in a container; needs the programs ``pulseaudio`` and ``paplay`` and ALSA's
pulse plugin (Debian: pulseaudio, pulseaudio-utils, libasound2-plugins).
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asd_agent

START_S = 10.0
"""Longest wait for the server"""
ALSA_CONFIG = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


class SoundServer:
    """A server whose only device is the null sink ``mic``.

    Parameters
    ----------
    folder : Path
        Its home; short, for a socket's path has less than 108 characters.
    rate_hz, channels : int
        Of the null sink.
    """

    def __init__(self, folder: Path, rate_hz: int, channels: int) -> None:
        self._folder = folder
        self._sink = f"rate={rate_hz} channels={channels}"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "asound.conf").write_text(ALSA_CONFIG)
        self.env: dict[str, str] = os.environ | {
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
            "ALSA_CONFIG_PATH": f"{folder}/asound.conf",
            "PYTHONPATH": str(Path(asd_agent.__file__).parents[1]),
        }
        """Whole environment for a subprocess that captures; finds `asd_agent` too"""

    def start(self) -> None:
        """Start the server and wait until it listens.

        Raises
        ------
        RuntimeError
            It does not start; the text is what it printed.
        """
        socket = self._folder / "native"
        command = [
            *("pulseaudio", "--daemonize=no", "--exit-idle-time=-1", "-n"),
            *("--use-pid-file=no", "--disable-shm=yes"),
            f"--load=module-null-sink sink_name=mic {self._sink}",
            f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1",
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self.env, stdout=log, stderr=log
            )
        deadline_s = time.monotonic() + START_S
        while not socket.exists():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                printed = (self._folder / "log").read_text()
                raise RuntimeError(f"no sound server: {printed}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server: to who captures, the device is unplugged."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)
            self._process = None
            (self._folder / "native").unlink(missing_ok=True)

    def kill(self) -> None:
        """End the server without a word."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def unload(self) -> None:
        """Take the microphone away from a server that goes on."""
        self._control("unload-module", "module-null-sink")

    def load(self, rate_hz: int | None = None) -> None:
        """Give it back, at another rate if one is named."""
        sink = self._sink if rate_hz is None else f"rate={rate_hz} channels=2"
        self._control("load-module", "module-null-sink", "sink_name=mic", *sink.split())

    def suspend(self, *, yes: bool) -> None:
        """Let the microphone be there and give nothing; or let it go on."""
        # A monitor has no state of its own: it sleeps with its sink.
        self._control("suspend-sink", "mic", "1" if yes else "0")

    def _control(self, *words: str) -> None:
        subprocess.run(
            ["pactl", *words], env=self.env, check=True, stdout=subprocess.DEVNULL
        )

    @contextmanager
    def play(self, path: Path) -> Iterator[None]:
        """Play a recording into the microphone until the block ends."""
        player = subprocess.Popen(["paplay", "--device=mic", str(path)], env=self.env)
        try:
            yield
        finally:
            player.kill()
            player.wait()


@contextmanager
def sound_server(rate_hz: int = 48_000, channels: int = 2) -> Iterator[SoundServer]:
    """Run a server until the block ends."""
    with tempfile.TemporaryDirectory(prefix="asd-sound-") as folder:
        server = SoundServer(Path(folder), rate_hz, channels)
        try:
            server.start()
            yield server
        finally:
            server.stop()
