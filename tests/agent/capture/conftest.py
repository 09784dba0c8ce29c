"""A library in PortAudio's place for the tests of one process."""

import pytest

from asd_agent.capture import portaudio
from support.portaudio_library import Library


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library()
    library.plugged_in = library.names
    monkeypatch.setattr(portaudio, "library", lambda: library)
    return library
