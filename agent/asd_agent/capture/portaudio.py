"""PortAudio itself: loaded when it is needed, used by one thread at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from types import ModuleType

from asd_agent.errors import RuntimeMissing

lock = RLock()
"""Held while devices are listed, opened or closed"""


def library() -> ModuleType:
    """Load PortAudio.

    Raises
    ------
    RuntimeMissing
        Its library is not installed.
    """
    try:
        import sounddevice  # noqa: PLC0415 - loads libportaudio, absent on many
    except OSError as error:
        raise RuntimeMissing(
            "microphones need the library PortAudio, which is not installed: "
            "sudo apt install libportaudio2"
        ) from error
    module: ModuleType = sounddevice
    return module


def list_again() -> None:
    """Let PortAudio look for devices anew, to see what was plugged in since.

    It lists them once, when it starts, and can start again only while nothing is
    open: beside another open microphone a new one waits for the agent's restart.
    """
    sound = library()
    sound._terminate()
    sound._initialize()


@contextmanager
def no_stderr() -> Iterator[None]:
    """Keep the libraries below Python from printing what is expected to fail."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
