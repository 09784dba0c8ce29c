"""The `learn` command: normal sound in, a site beside the bundle."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

from asd_agent.bundle.member import Member
from asd_agent.capture.recording import Recording, recordings
from asd_agent.config import Config, SourceConfig
from asd_agent.hearing import Hearing
from asd_agent.learn import Learner
from asd_agent.progress import Progress
from asd_agent.setup import (
    alarm_rule,
    blocks_of,
    check_state_dir,
    members_of,
    open_bundle,
    open_source,
    site_path,
    too_short,
)


def teach(
    config: Config,
    source: SourceConfig,
    paths: Sequence[str] | None,
    minutes: float | None,
    screen: TextIO,
) -> str:
    """Learn from recordings, or from the source for some minutes.

    Returns
    -------
    str
        What was learnt, where it lies, and what it cannot support yet.

    Raises
    ------
    AsdError
        Nothing was changed: what was learnt before is still there.
    """
    check_state_dir(config.state_dir)
    bundle = open_bundle(config)
    members = members_of(config, bundle)
    learner = Learner(members)
    if paths is not None:
        _hear_files(learner, members, recordings(paths), source.channel, screen)
    else:
        _hear_source(learner, members, source, 60 * (minutes or 0.0), screen)
    site = learner.site(bundle.manifest.id, datetime.now(timezone.utc))
    path = site_path(config, source, bundle.manifest.id)
    site.save(path)
    support = learner.support(site, alarm_rule(config.alarm), config.alarm.per_week)
    return f"{source.name}: {support.sentences(config.alarm.per_week)}\nwritten: {path}"


def _hear_files(
    learner: Learner,
    members: list[Member],
    files: list[Path],
    channel: int,
    screen: TextIO,
) -> None:
    """Hear each file on its own."""
    with Progress(screen, "learning", len(files), "files") as progress:
        for file in files:
            hearing = Hearing(members)
            units = 0
            for block in blocks_of(Recording(file, channel), members):
                for heard in hearing.hear(block):
                    learner.add(heard)
                    units += 1
            if not units:
                raise too_short(str(file), members)
            learner.end_segment()
            progress.add(1)


def _hear_source(
    learner: Learner,
    members: list[Member],
    source: SourceConfig,
    seconds: float,
    screen: TextIO,
) -> None:
    """Hear the source itself for so long, or to the end of its recording."""
    hearing = Hearing(members)
    with (
        Progress(screen, "learning", seconds, "s") as progress,
        closing(blocks_of(open_source(source), members)) as blocks,
    ):
        for block in blocks:
            for heard in hearing.hear(block):
                learner.add(heard)
            progress.reach(learner.seconds)
            if learner.seconds >= seconds:
                return
