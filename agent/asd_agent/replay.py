"""The `replay` command: recordings through the running agent's own path."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.recording import Recording, recordings
from asd_agent.capture.signal_health import Verdict
from asd_agent.config import Config, SourceConfig
from asd_agent.errors import SoundError
from asd_agent.hearing import Hearing
from asd_agent.judge import Judge, judge_clip
from asd_agent.pipeline import Pipeline, window_step_s
from asd_agent.progress import Progress
from asd_agent.relearn import ensure_sites
from asd_agent.scoring.decision import Decision, State
from asd_agent.setup import (
    alarm_rule,
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

    If that was with another bundle it is learnt again first, from kept sound.

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
    bundle = open_bundle(config)
    members = members_of(config, bundle)
    alone = config.model_copy(update={"sources": (source,)})
    ensure_sites(alone, bundle.path, bundle.manifest, members)
    site = Site.load(site_path(config, source, bundle.manifest.id), members)
    files = recordings(paths)
    if not per_file:
        tape = Recording(files, source.channel)
        pipeline = pipeline_of(config, members, site)
        yield from tape_records(pipeline, members, tape)
        return
    alpha = alarm_rule(config.alarm).alpha(
        config.alarm.per_week, window_step_s(members[0].spec)
    )
    judge = Judge(members, site, alpha)
    with Progress(screen, "replay", len(files), "files") as progress:
        for file in files:
            try:
                yield file_record(judge, members, file, source.channel)
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
    judge: Judge, members: Sequence[Member], file: Path, channel: int
) -> Record:
    """Hear one file on its own and sum it up.

    The file is judged by its least normal window (`judge.judge_clip`). The state is
    `anomalous` if its p-value is one that counts towards an alarm: a file is too
    short for k of n. Else it is `no_signal` or `mic_suspect` if any part of the file
    is. A file shorter than a window is one window; one without any sound has no
    score.

    Raises
    ------
    SoundError
        The file is not usable, or is shorter than one unit.
    """
    hearing = Hearing(members)
    blocks = blocks_of(Recording(file, channel), members)
    heard = [unit for block in blocks for unit in hearing.hear(block)]
    if not heard:
        raise too_short(str(file), members)
    verdicts = {unit.verdict for unit in heard}
    state = State.MIC_SUSPECT if Verdict.SUSPECT in verdicts else State.NORMAL
    if Verdict.NO_SIGNAL in verdicts:
        state = State.NO_SIGNAL
    judged = judge_clip(judge, heard) if verdicts != {Verdict.NO_SIGNAL} else None
    if judged and judged.p_value <= judge.alpha:
        state = State.ANOMALOUS
    return {
        "file": str(file),
        "score": judged.score if judged else None,
        "p_value": judged.p_value if judged else None,
        "state": state.value,
        "windows": judged.windows if judged else 1,
    }


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
