"""What the sources of a device have learnt, with whichever bundle."""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import (
    SiteInfo,
    anew,
    is_learnt,
    read_info,
    sites_in,
    without_network,
)
from asd_agent.config import Config
from asd_agent.errors import SiteError, SoundError
from asd_agent.kept import KeptSound, sound_folder, tidy
from asd_agent.setup import site_path

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Task:
    """A source that has to be learnt again from its kept sound."""

    source: str
    old: Path
    """Site whose sound is learnt"""
    new: Path
    """Site that is going to be written"""
    seconds: float
    """Seconds of kept sound"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done before a bundle can judge."""

    tasks: tuple[Task, ...]
    without: dict[str, str]
    """Sources that were learnt but cannot be learnt again, and why"""


def plan_update(config: Config, manifest: Manifest) -> Plan:
    """What an installation has to learn: all that was heard since, or never, with it.

    Raises
    ------
    SiteError
        This user may not look at what was learnt.
    """
    wanted = []
    for source in config.sources:
        path = site_path(config, source, manifest.id)
        if sites_in(path.parent) and not _is_up_to_date(path, manifest):
            wanted.append((source.name, path))
    return _plan(wanted, manifest)


def plan_start(
    config: Config, manifest: Manifest, members: Sequence[Member] = ()
) -> Plan:
    """What a start has to learn: sources that have no site of this bundle.

    Parameters
    ----------
    members
        Those of the bundle, if they are open: then a site of another of its model
        files does not count.

    Raises
    ------
    SiteError
        The site of this bundle is damaged, or this user may not look.
    """
    wanted = []
    for source in config.sources:
        path = site_path(config, source, manifest.id)
        there = path in sites_in(path.parent)
        if there and fits(read_info(path), manifest, members):
            continue
        if is_learnt(path):
            wanted.append((source.name, path))
    return _plan(wanted, manifest)


def fits(info: SiteInfo, manifest: Manifest, members: Sequence[Member] = ()) -> bool:
    """Whether a site is of the models of a bundle, and scored as it scores."""
    if info.members != {spec.name: without_network(spec) for spec in manifest.members}:
        return False
    if members:
        return info.models == {m.spec.name: m.model_sha256 for m in members}
    for spec in manifest.members:
        files = [m.file for m in spec.embedder.models] if spec.embedder else []
        known = {manifest.files[file].sha256 for file in files} or {""}
        if info.models.get(spec.name) not in known:
            return False
    return True


def ask_anew(path: Path) -> None:
    """Have the source of a site learnt anew, from what it hears first.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    disk = Disk()
    disk.make_folders(path.parent)
    disk.write_whole(anew(path), b"")
    # One that is there is of no use to the bundle: else nobody would have to ask.
    with suppress(FileNotFoundError):
        disk.remove(path)


def forget_sites(config: Config, keep: Collection[str]) -> None:
    """Remove what was learnt with bundles that are gone, and sound that is unused.

    Parameters
    ----------
    keep
        Identifiers of all bundles that can still run. The site that was learnt last
        stays whatever its bundle: a later bundle learns from its sound.
    """
    disk = Disk()
    for source in config.sources:
        folder = site_path(config, source, "any").parent
        try:
            last = _newest(folder, keep)
            for path in sites_in(folder):
                if last and path.stem not in keep and path != last[0]:
                    disk.remove(path)
        except (SiteError, OSError) as error:
            log.warning("%s: old sites are not removed: %s", source.name, error)
        tidy(folder, disk)


def _plan(wanted: Sequence[tuple[str, Path]], manifest: Manifest) -> Plan:
    tasks, without = [], {}
    for source, path in wanted:
        try:
            tasks.append(_task(source, path, manifest))
        except SoundError as error:
            without[source] = str(error)
    return Plan(tuple(tasks), without)


def _task(source: str, path: Path, manifest: Manifest) -> Task:
    """What has to be done for a source that was learnt.

    Raises
    ------
    SoundError
        There is no sound to learn from.
    """
    last = _newest(path.parent)
    if last is None:
        raise SoundError("what it has learnt is damaged")
    old, info = last
    folder = sound_folder(path.parent, info.sound)
    if folder is None:
        raise SoundError("its sound was not kept")
    index = KeptSound.open(folder).index
    rate_hz = manifest.members[0].features.rate_hz
    if index.rate_hz < rate_hz:
        raise SoundError(
            f"its sound was kept at {index.rate_hz} Hz, and this bundle hears at "
            f"{rate_hz} Hz"
        )
    return Task(source, old, path, index.seconds)


def _is_up_to_date(path: Path, manifest: Manifest) -> bool:
    """Whether the site of a bundle is of the sound that was heard last."""
    last = _newest(path.parent)
    if last is None or path not in sites_in(path.parent):
        return False
    with suppress(SiteError):
        info = read_info(path)
        return info.learnt == last[1].learnt and fits(info, manifest)
    return False


def _newest(folder: Path, first: Collection[str] = ()) -> tuple[Path, SiteInfo] | None:
    """The site whose sound was heard last; damaged ones are passed over.

    Of several with the same sound, one of the bundles `first` is taken.
    """
    found = []
    for path in sites_in(folder):
        try:
            found.append((path, read_info(path)))
        except SiteError as error:
            log.warning("%s", error)
    return max(found, key=lambda s: (s[1].learnt, s[0].stem in first), default=None)
