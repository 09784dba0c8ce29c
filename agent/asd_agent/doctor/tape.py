"""Examines the recordings that a source plays in place of a microphone."""

from collections.abc import Iterator

from asd_agent.capture.recording import read, recordings
from asd_agent.config import SourceConfig
from asd_agent.doctor.finding import Finding, fail, ok, refused
from asd_agent.doctor.words import number
from asd_agent.errors import SoundError

MOST = 500
"""Files that are opened; more take too long"""
MOST_TOLD = 5
"""Files that cannot be read and are named"""


def tape(source: SourceConfig) -> Iterator[Finding]:
    """Whether every recording is there and begins as one.

    Raises
    ------
    SoundError
        None is there.
    """
    files = recordings([str(source.recording)])
    bad = 0
    for path in files[:MOST]:
        try:
            next(read(path, source.channel))
        except SoundError as error:
            bad += 1
            if bad <= MOST_TOLD:
                yield refused("recording", error)
    if bad > MOST_TOLD:
        text = f"{number(bad, 'file')} of {len(files):,} cannot be read"
        yield fail("recording", text, "see each with asd-agent replay", SoundError)
    looked = f", the first {MOST} were opened" if len(files) > MOST else ""
    if not bad:
        text = f"{number(len(files), 'recording')}{looked}"
        yield ok("recording", text, figures={"files": len(files)})
