"""The `replay` command: recordings through the running agent's own path."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.recording import Recording, recordings
from asd_agent.config import Config, SourceConfig
from asd_agent.errors import SoundError
from asd_agent.pipeline import Pipeline
from asd_agent.progress import Progress
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import (
    blocks_of,
    members_of,
    open_bundle,
    pipeline_of,
    site_path,
    too_short,
)

Record = dict[str, Any]


def replay(
    config: Config,
    source: SourceConfig,
    paths: Sequence[str],
    *,
    per_file: bool,
    screen: TextIO,
) -> Iterator[Record | SoundError]:
    """Score recordings against what was learnt of `source`.

    Yields
    ------
    Record
        One for every decision, the files being one tape; or one a file.
    SoundError
        Only with `per_file`: why a file was refused. The others are heard.

    Raises
    ------
    AsdError
        Nothing was learnt yet, or the bundle cannot be used.
    """
    members = members_of(config, open_bundle(config))
    site = Site.load(site_path(config, source), members)
    files = recordings(paths)
    if not per_file:
        tape = Recording(files, source.channel)
        pipeline = pipeline_of(config, members, site)
        yield from tape_records(pipeline, members, tape)
        return
    with Progress(screen, "replay", len(files), "files") as progress:
        for file in files:
            pipeline = pipeline_of(config, members, site)
            try:
                yield file_record(pipeline, members, file, source.channel)
            except SoundError as error:
                yield error
            progress.add(1)


def tape_records(
    pipeline: Pipeline, members: Sequence[Member], tape: Recording
) -> Iterator[Record]:
    """Hear recordings as one tape; a record for every decision.

    Raises
    ------
    SoundError
        The tape is not usable, or is shorter than one unit.
    """
    rate_hz = members[0].spec.features.rate_hz
    heard = False
    for block in blocks_of(tape, members):
        for decision in pipeline.step(block):
            heard = True
            yield decision_record(decision, rate_hz)
    if not heard:
        raise too_short(tape.name, members)


def file_record(
    pipeline: Pipeline, members: Sequence[Member], file: Path, channel: int
) -> Record:
    """Hear one file on its own and sum it up.

    The score is that of the least normal window; its p-value is corrected for
    the number of windows (Bonferroni, which holds for overlapping ones too). The
    state is `anomalous` if that p-value is one that counts towards an alarm: a
    file is too short for k of n. Else it is `no_signal` or `mic_suspect` if any
    part of the file is. A file shorter than a window is one window.

    Raises
    ------
    SoundError
        The file is not usable, or is shorter than one unit.
    """
    heard: list[Decision] = []
    clipped = False
    for block in blocks_of(Recording(file, channel), members):
        for decision in pipeline.step(block):
            heard.append(decision)
            clipped = clipped or pipeline.clipped
    if not heard:
        raise too_short(str(file), members)
    windows = _counted(heard) or heard[-1:]
    worst = min(windows, key=lambda d: 2.0 if d.p_value is None else d.p_value)
    p_value = worst.p_value
    if p_value is not None:
        p_value = min(1.0, p_value * len(windows))
    if p_value is not None and p_value <= pipeline.alpha:
        state = State.ANOMALOUS
    elif any(decision.state is State.NO_SIGNAL for decision in heard):
        state = State.NO_SIGNAL
    else:
        state = State.MIC_SUSPECT if clipped else State.NORMAL
    return {
        "file": str(file),
        "score": worst.score,
        "p_value": p_value,
        "state": state.value,
        "windows": len(windows),
    }


def _counted(heard: Sequence[Decision]) -> list[Decision]:
    """Decisions about a whole window that is counted."""
    before = [0, *(decision.windows for decision in heard[:-1])]
    return [
        decision
        for decision, last in zip(heard, before, strict=True)
        if decision.windows not in (0, last)
    ]


def decision_record(decision: Decision, rate_hz: int) -> Record:
    """A decision as names and values for JSON."""
    event = decision.event
    return {
        "time_s": round(decision.end_sample / rate_hz, 3),
        "score": decision.score,
        "threshold": decision.threshold,
        "p_value": decision.p_value,
        "state": decision.state.value,
        "changed": decision.changed,
        "windows": decision.windows,
        "level_dbfs": round(decision.level_dbfs, 1),
        "gap": decision.gap,
        "event": asdict(event) if event else None,
    }
