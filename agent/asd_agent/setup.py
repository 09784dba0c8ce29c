"""Make the parts that a configuration names."""

import errno
import logging
import os
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.member import Member, open_members
from asd_agent.bundle.signature import load_public_key
from asd_agent.bundle.site import Site
from asd_agent.bundle.store import Store
from asd_agent.bundle.trust import Trust
from asd_agent.capture.chunk import Block, Source
from asd_agent.capture.feed import Feed
from asd_agent.capture.microphone import Microphone
from asd_agent.capture.recording import Recording
from asd_agent.config import AlarmConfig, Config, SourceConfig
from asd_agent.errors import BundleError, ConfigError, SiteError, SoundError
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.alarm import AlarmRule

log = logging.getLogger(__name__)

NOT_NOW = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""Failures of a disk, which may pass, rather than of the configuration"""


def trust_of(config: Config) -> Trust:
    """Whose bundles the configuration takes.

    Raises
    ------
    ConfigError
        A trusted key cannot be read.
    """
    return Trust(
        keys=tuple(load_public_key(path) for path in config.bundle.trusted_keys),
        allow_unsigned=config.bundle.allow_unsigned,
        device_class=config.bundle.device_class,
    )


def store_of(config: Config) -> Store:
    """Where installed bundles lie.

    Raises
    ------
    ConfigError
        A trusted key cannot be read.
    """
    return Store(
        config.state_dir / "bundles",
        trust=trust_of(config),
        max_bytes=config.bundle.max_bytes,
    )


def open_bundle(config: Config) -> Bundle:
    """Open and verify the bundle that runs.

    It is the one that the configuration names; or else the installed one, or if that
    cannot be used the one before it; or else the one that comes with the software,
    which as a part of it needs no signature.

    Raises
    ------
    BundleError
        The bundle that the configuration names cannot be used.
    ConfigError
        A trusted key cannot be read.
    """
    if config.bundle.path is not None:
        return Bundle.open(config.bundle.path, trust_of(config))
    store = store_of(config)
    state = store.read()
    for bundle in (state.current, state.previous):
        if bundle:  # neither none nor BASE
            try:
                return Bundle.open(store.path(bundle), trust_of(config))
            except BundleError as error:
                log.warning("bundle %s is passed over: %s", bundle, error)
    return Bundle.open(DEFAULT_BUNDLE)


def members_of(config: Config, bundle: Bundle) -> list[Member]:
    """Open the bundle's members with the runtime that the configuration asks for."""
    return open_members(bundle, config.bundle.runtime)


def open_source(config: SourceConfig) -> Source:
    """Open what a source listens to.

    Raises
    ------
    SoundError
        The device or the recording is not there.
    """
    if config.microphone is not None:
        return Microphone(config.microphone, config.channel)
    return Recording(
        str(config.recording), config.channel, pace=config.pace, loop=config.loop
    )


def alarm_rule(config: AlarmConfig) -> AlarmRule:
    """The rule that the configuration states."""
    return AlarmRule(
        raise_k=config.raise_.k,
        raise_n=config.raise_.n,
        clear_k=config.clear.k,
        clear_n=config.clear.n,
    )


def site_path(config: Config, source: SourceConfig, bundle_id: str) -> Path:
    """Where lies what a source learnt with a bundle."""
    return Site.path(config.state_dir, source.name, bundle_id)


def pipeline_of(config: Config, members: list[Member], site: Site) -> Pipeline:
    """A pipeline for one source, at its start."""
    return Pipeline(members, site, alarm_rule(config.alarm), config.alarm.per_week)


def choose_source(config: Config, name: str | None) -> SourceConfig:
    """The source of that name, or the only one.

    Raises
    ------
    ConfigError
        There is no such source, or there are several and none was named.
    """
    names = ", ".join(source.name for source in config.sources)
    if name is None:
        if len(config.sources) > 1:
            raise ConfigError(f"several sources: say --source with one of {names}")
        return config.sources[0]
    for source in config.sources:
        if source.name == name:
            return source
    raise ConfigError(f"--source {name}: no such source; there are {names}")


def check_state_dir(path: Path, *, strict: bool = True) -> None:
    """See that the state folder is there and can be written, before it is needed.

    Parameters
    ----------
    strict
        Whether a disk that is full or read-only is an error; if not, it is told: what
        is there can still be read.

    Raises
    ------
    SiteError
        It cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        if not strict and error.errno in NOT_NOW:
            log.error(
                "state_dir %s: cannot be written: %s. Nothing that is learnt or waits "
                "for the broker will outlast this process: make room, or a disk that "
                "can be written",
                path,
                error.strerror,
            )
            return
        raise SiteError(
            f"state_dir {path}: cannot be written: {error.strerror}. Give this user "
            "the folder, or set state_dir to one that it may write"
        ) from error


def blocks_of(
    source: Source, members: Sequence[Member]
) -> Generator[Block, None, None]:
    """Sound of a source at the rate of the front end, until it ends."""
    with closing(Feed(source, members[0].spec.features.rate_hz)) as feed:
        yield from feed.blocks()


def too_short(name: str, members: Sequence[Member]) -> SoundError:
    """The refusal of a recording without a single unit."""
    features = members[0].spec.features
    return SoundError(
        f"{name}: is shorter than one unit of "
        f"{features.unit_samples / features.rate_hz:.2f} s; record more"
    )
