"""An engine: a bundle, opened for one source with what was learnt of it."""

from dataclasses import dataclass

from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, is_learnt
from asd_agent.config import Config, SourceConfig
from asd_agent.setup import site_path


@dataclass(frozen=True, slots=True)
class Engine:
    """What hears and judges one source; no two sources share one."""

    members: list[Member]
    """Those of the other sources too, see `shared`"""
    site: Site | None
    """What was learnt of the source with this bundle; None: nothing yet"""
    manifest: Manifest
    """Of the bundle"""

    @property
    def rate_hz(self) -> int:
        """Hertz at which it hears."""
        return self.members[0].spec.features.rate_hz

    @property
    def shift_s(self) -> float:
        """Seconds from one decision to the next."""
        return self.members[0].spec.features.shift_samples / self.rate_hz


def open_engine(
    config: Config, source: SourceConfig, manifest: Manifest, members: list[Member]
) -> Engine:
    """Put the open members of a bundle to what `source` learnt with it.

    Raises
    ------
    SiteError
        What was learnt cannot be used.
    """
    path = site_path(config, source, manifest.id)
    site = Site.load(path, members) if is_learnt(path) else None
    return Engine(members, site, manifest)
