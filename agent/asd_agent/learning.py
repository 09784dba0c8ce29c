"""Learns one source: what is heard becomes a site, and the sound itself is kept."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType

from asd_agent.bundle.disk import Disk
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, anew
from asd_agent.capture.chunk import Block
from asd_agent.errors import BundleError, SiteError
from asd_agent.hearing import Heard, Hearing
from asd_agent.keeper import Keeper
from asd_agent.kept import KeptSound, tidy
from asd_agent.learn import Learner, Support
from asd_agent.scoring.alarm import AlarmRule

log = logging.getLogger(__name__)


class Learning:
    """One source, from its first block to its site.

    A context manager: what was kept is removed if `finish` was not reached.

    Parameters
    ----------
    members
        The bundle's members.
    path
        Where the site is going to lie; the sound lies beside it.
    keep_bytes
        Bytes of sound that may be kept; 0: none.
    disk
        What writes.
    """

    def __init__(
        self,
        members: Sequence[Member],
        path: Path,
        keep_bytes: int,
        disk: Disk | None = None,
    ) -> None:
        self._members = members
        self._path = path
        self._disk = disk or Disk()
        self._learner = Learner(members)
        self._keeper = Keeper(path.parent, members[0].spec, keep_bytes, self._disk)
        self.hearing = Hearing(members)
        """What hears for it"""
        self._done = False

    def __enter__(self) -> "Learning":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def seconds(self) -> float:
        """Seconds of sound learnt so far."""
        return self._learner.seconds

    def hear(self, block: Block) -> Iterator[Heard]:
        """Take samples; yield each unit that they complete, once it is learnt."""
        for heard in self.hearing.hear(self._keeper.hear(block)):
            self._learner.add(heard)
            self._keeper.keep(heard)
            yield heard

    def end_recording(self) -> None:
        """Say that a recording is over; the next one counts its samples from 0."""
        self._learner.end_segment()
        self._keeper.end_recording()
        self.hearing = Hearing(self._members)

    def finish(self, bundle: str, now: datetime, *, lasting: bool = True) -> Site:
        """Build the site and write it; then sound that was kept before is removed.

        After a power failure there is the old site with the old sound or the new
        one with the new: a site never names sound that is not whole.

        Parameters
        ----------
        lasting
            Whether it is an error if the site cannot be written. If not, it is told
            and what was learnt holds until the agent ends.

        Raises
        ------
        SiteError
            There is less sound than two windows, or the site cannot be written.
        """
        try:
            site = self._learner.site(bundle, now)
            try:
                site = self._saved(site)
            except SiteError as error:
                if lasting:
                    raise
                log.error("what was learnt holds until the agent ends: %s", error)
                return site
            self._done = True
            self._after()
            return site
        finally:
            self.close()

    def _saved(self, site: Site) -> Site:
        kept = self._keeper.finish()
        if kept is not None:
            info = replace(site.info, sound=kept.name, kept_s=kept.seconds)
            try:
                with_sound = replace(site, info=info)
                with_sound.save(self._path, self._disk)
            except SiteError as error:
                # The sound may have taken the room that the site needs.
                log.warning("the sound is not kept: %s", error)
                self._keeper.drop()
            else:
                return with_sound
        site.save(self._path, self._disk)
        return site

    def _after(self) -> None:
        """Remove what the new site makes superfluous."""
        tidy(self._path.parent, self._disk)
        with suppress(OSError):
            self._disk.remove(anew(self._path))

    def support(self, site: Site, rule: AlarmRule, per_week: float) -> Support:
        """Say what `site` can carry of a budget of false alarms."""
        return self._learner.support(site, rule, per_week)

    def close(self) -> None:
        """Leave off: what was kept is removed, unless `finish` was reached."""
        if self._done:
            self._keeper.close()
        else:
            self._keeper.drop()


def learn_kept(members: Sequence[Member], sound: KeptSound) -> Learner:
    """Learn kept sound, as it was learnt when it was heard.

    Raises
    ------
    SoundError
        The sound is damaged.
    BundleError
        A network gives values that are not finite (`reason` ``not_finite``).
    """
    learner = Learner(members)
    features = members[0].spec.features
    broken = count = 0
    for number, segment in enumerate(sound.index.segments):
        hearing = Hearing(members)
        gap = True
        for block in sound.blocks(number, features.rate_hz):
            for heard in hearing.hear(block):
                learner.add(replace(heard, gap=gap))
                gap = False
                count += 1
        broken += hearing.not_finite
        if segment.ended:
            learner.end_segment()
    if broken:
        raise BundleError(
            f"the bundle gives values that are not finite for {broken} of {count} "
            "units of kept normal sound. Build it again",
            "not_finite",
        )
    return learner
