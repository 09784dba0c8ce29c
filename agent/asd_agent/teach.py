"""The `learn` command: normal sound in, a site beside the bundle."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import SiteInfo
from asd_agent.capture.recording import Recording, recordings
from asd_agent.config import Config, SourceConfig
from asd_agent.learning import Learning
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
    path = site_path(config, source, bundle.manifest.id)
    with Learning(members, path, source.learn.keep_bytes) as learning:
        if paths is not None:
            _hear_files(learning, members, recordings(paths), source.channel, screen)
        else:
            _hear_source(learning, members, source, 60 * (minutes or 0.0), screen)
        site = learning.finish(bundle.manifest.id, datetime.now(timezone.utc))
    per_week = config.alarm.per_week
    support = learning.support(site, alarm_rule(config.alarm), per_week)
    return (
        f"{source.name}: {support.sentences(per_week)}\n"
        f"{kept_sentence(site.info)}\nwritten: {path}"
    )


def kept_sentence(info: SiteInfo) -> str:
    """Say how much of the sound that was learnt is kept."""
    if not info.sound:
        return "kept: no sound; a later bundle cannot learn from it"
    if info.kept_s < info.seconds:
        return (
            f"kept: {info.kept_s:.0f} of {info.seconds:.0f} s of sound, as far as "
            "learn.keep_bytes allows; a later bundle learns from these"
        )
    return f"kept: {info.kept_s:.0f} s of sound; a later bundle learns from it"


def _hear_files(
    learning: Learning,
    members: list[Member],
    files: list[Path],
    channel: int,
    screen: TextIO,
) -> None:
    """Hear each file on its own."""
    with Progress(screen, "learning", len(files), "files") as progress:
        for file in files:
            units = 0
            for block in blocks_of(Recording(file, channel), members):
                units += sum(1 for _ in learning.hear(block))
            if not units:
                raise too_short(str(file), members)
            learning.end_recording()
            progress.add(1)


def _hear_source(
    learning: Learning,
    members: list[Member],
    source: SourceConfig,
    seconds: float,
    screen: TextIO,
) -> None:
    """Hear the source itself for so long, or to the end of its recording."""
    with (
        Progress(screen, "learning", seconds, "s") as progress,
        closing(blocks_of(open_source(source), members)) as blocks,
    ):
        for block in blocks:
            for _ in learning.hear(block):
                pass
            progress.reach(learning.seconds)
            if learning.seconds >= seconds:
                return
