"""After an update: learn every source again from its kept sound with the new bundle.

`relearn` is a step of an installation: before a bundle is switched to, each source
that was learnt gets a site of that bundle, or the bundle is refused and the old one
stays. `ensure_sites` does the same at a start, where the bundle was changed without an
installation: newer software brings another default bundle, or ``bundle.path`` names
another. Call it before a site is opened: the service, and whoever replays.

``python -m asd_agent.relearn`` is the child process that learns one source.
"""

import argparse
import errno
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from threading import Event
from typing import Literal

from asd_agent import child
from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.member import Member, open_members
from asd_agent.bundle.site import Site, read_info
from asd_agent.config import Config
from asd_agent.errors import BundleError, SiteError, SoundError
from asd_agent.inference.open import RuntimeChoice
from asd_agent.kept import KeptSound, hold, tidy
from asd_agent.learning import learn_kept
from asd_agent.learnt import Task, ask_anew, plan_start, plan_update
from asd_agent.setup import choose_source, site_path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Relearnt:
    """What became of one source."""

    source: str
    seconds: float = 0.0
    """Seconds of kept sound that it was learnt from"""
    windows: int = 0
    """Windows that do not overlap, which the calibration rests on"""
    took_s: float = 0.0
    """Seconds that it took"""
    anew: bool = False
    """Whether it is going to be learnt anew, from what is heard first"""


def relearn(
    config: Config,
    bundle_folder: Path,
    stop: Event | None = None,
    without_sound: Literal["refuse", "learn_anew"] = "refuse",
) -> list[Relearnt]:
    """Give every source that was learnt a site of another bundle.

    Each is learnt in a child process with ``bundle.test_timeout_s`` seconds and
    ``bundle.test_memory_bytes``, at a low priority: scoring goes on.

    Parameters
    ----------
    bundle_folder
        A bundle that was verified.
    stop
        Ends it early when set.
    without_sound
        What to do where no sound was kept: refuse the bundle, or have the source
        learnt anew from what is heard first with it.

    Returns
    -------
    list of Relearnt
        One for each source that had no site of the bundle yet.

    Raises
    ------
    BundleError
        Nothing has changed. `reason` is ``nothing_kept`` where there is no sound to
        learn from; ``not_finite``, ``hung``, ``crashed``, ``disk_full`` and others of
        `child.run`.
    SiteError
        This user may not look at what was learnt.
    """
    manifest = Bundle.open(bundle_folder).manifest
    plan = plan_update(config, manifest)
    if plan.without and without_sound == "refuse":
        raise BundleError(
            f"bundle {manifest.id} cannot learn what was learnt before it: "
            f"{_listed(plan.without)}. The old bundle stays. Learn again with it "
            "(asd-agent learn), so that the sound is kept; or install by hand with "
            "--learn-anew",
            "nothing_kept",
        )
    done = _learn(config, bundle_folder, plan.tasks, stop)
    for name in plan.without:
        _ask_anew(site_path(config, choose_source(config, name), manifest.id))
        log.warning("%s: bundle %s is going to learn it anew", name, manifest.id)
        done.append(Relearnt(name, anew=True))
    return done


def ensure_sites(
    config: Config,
    bundle_folder: Path,
    manifest: Manifest,
    members: Sequence[Member] = (),
    stop: Event | None = None,
) -> list[Relearnt]:
    """See that every source that was learnt has a site of the bundle that runs.

    Where it has not, it is learnt again from kept sound, and that is logged. What an
    interrupted learning left is removed.

    Parameters
    ----------
    members
        Those of the bundle, if they are open already: then a site of the same bundle
        but of another model file is learnt again too.

    Raises
    ------
    SiteError
        A source was learnt with another bundle, and there is no sound to learn from.
    BundleError
        The bundle cannot learn, see `relearn`.
    """
    for source in config.sources:
        tidy(site_path(config, source, manifest.id).parent, Disk())
    plan = plan_start(config, manifest, members)
    if plan.without:
        raise SiteError(
            f"bundle {manifest.id} cannot use what was learnt with another bundle: "
            f"{_listed(plan.without)}. Learn the source again: asd-agent learn"
        )
    return _learn(config, bundle_folder, plan.tasks, stop)


def _listed(without: dict[str, str]) -> str:
    return "; ".join(f"source {name}: {why}" for name, why in without.items())


def _learn(
    config: Config, bundle: Path, tasks: Iterable[Task], stop: Event | None
) -> list[Relearnt]:
    """Learn one source after the other; where one fails none gets a new site."""
    done, made = [], []
    try:
        for task in tasks:
            if not task.new.exists():
                made.append(task.new)
            done.append(_learn_one(config, bundle, task, stop))
    except BundleError:
        for path in made:
            path.unlink(missing_ok=True)
        raise
    return done


def _learn_one(
    config: Config, bundle: Path, task: Task, stop: Event | None
) -> Relearnt:
    log.info(
        "%s: bundle %s learns it again from %.0f s of kept sound",
        task.source,
        task.new.stem,
        task.seconds,
    )
    arguments = ["--bundle", str(bundle), "--runtime", config.bundle.runtime]
    try:
        found = child.run(
            "asd_agent.relearn",
            [*arguments, "--old", str(task.old), "--new", str(task.new)],
            timeout_s=config.bundle.test_timeout_s,
            memory_bytes=config.bundle.test_memory_bytes,
            stop=stop,
        )
    except BundleError as error:
        raise BundleError(f"source {task.source}: {error}", error.reason) from error
    done = replace(Relearnt(**found), source=task.source)
    log.info(
        "%s: learnt again, %d windows that do not overlap, in %.1f s",
        done.source,
        done.windows,
        done.took_s,
    )
    return done


def _ask_anew(path: Path) -> None:
    try:
        ask_anew(path)
    except OSError as error:
        reason = "disk_full" if error.errno in FULL else "unavailable"
        raise BundleError(f"{path}: cannot be written: {error}", reason) from error


def learn_again(
    bundle_folder: Path, runtime: RuntimeChoice, old: Path, new: Path
) -> Relearnt:
    """Learn the sound that one site names with a bundle, and write another site.

    Raises
    ------
    BundleError
        `reason` as that of `relearn`.
    """
    begun_s = time.monotonic()
    bundle = Bundle.open(bundle_folder)
    members = open_members(bundle, runtime)
    try:
        info = read_info(old)
        folder = old.parent / info.sound
        with hold(folder):
            learner = learn_kept(members, KeptSound.open(folder))
            site = learner.site(bundle.manifest.id, datetime.now(timezone.utc))
            # The same sound, so it was heard when it was heard.
            kept = replace(
                site.info, learnt=info.learnt, sound=info.sound, kept_s=info.kept_s
            )
            _save(replace(site, info=kept), new)
    except (SoundError, SiteError) as error:
        raise BundleError(str(error), "nothing_kept") from error
    windows = next(iter(site.members.values())).independent
    took_s = time.monotonic() - begun_s
    return Relearnt(new.parent.name, site.info.seconds, windows, took_s)


def _save(site: Site, path: Path) -> None:
    try:
        site.save(path)
    except SiteError as error:
        cause = error.__cause__
        full = isinstance(cause, OSError) and cause.errno in FULL
        reason = "disk_full" if full else "unavailable"
        raise BundleError(str(error), reason) from error


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bundle", "--old", "--new"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--runtime", default="auto")
    args = parser.parse_args()
    child.answer(asdict(learn_again(args.bundle, args.runtime, args.old, args.new)))


if __name__ == "__main__":
    _main()
