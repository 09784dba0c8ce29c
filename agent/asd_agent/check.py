"""Check all that a configuration names, without listening to anything."""

from collections.abc import Iterator

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site, is_learnt
from asd_agent.capture import devices
from asd_agent.capture.recording import recordings
from asd_agent.config import Config, SourceConfig
from asd_agent.learnt import Task, plan_start
from asd_agent.mqtt.security import password, tls_context
from asd_agent.setup import check_state_dir, members_of, open_bundle, site_path


def check(config: Config) -> Iterator[str]:
    """Yield a line for each thing that is well.

    Raises
    ------
    AsdError
        The first thing that is not.
    """
    bundle = open_bundle(config)
    manifest = bundle.manifest
    yield (
        f"bundle {manifest.id} version {manifest.version}: whole, {origin(bundle)}, "
        f"{bundle.path}"
    )
    members = members_of(config, bundle)
    for member in members:
        yield f"member {member.spec.name}: golden numbers agree, {member.library}"
    check_state_dir(config.state_dir)
    yield f"state_dir {config.state_dir}: can be written"
    again = {t.source: t for t in plan_start(config, manifest, members).tasks}
    for source in config.sources:
        yield _check_source(source)
        if source.name in again:
            yield to_learn_again(again[source.name])
        else:
            yield learnt(config, source, manifest.id, members)
    if config.mqtt is not None:
        password(config.mqtt)
        tls_context(config.mqtt)
        yield f"mqtt {config.mqtt.host}:{config.mqtt.port}: secrets can be read"


def origin(bundle: Bundle) -> str:
    """Who vouches for a bundle."""
    if bundle.path == DEFAULT_BUNDLE:
        return "comes with the software"
    if bundle.signed_by is None:
        return "unsigned, allowed"
    return f"signed by {bundle.signed_by}"


def _check_source(source: SourceConfig) -> str:
    if source.microphone is not None:
        device = devices.find(source.microphone)
        return f"source {source.name}: microphone {device.name}"
    files = recordings([str(source.recording)])
    return f"source {source.name}: {len(files)} recordings"


def to_learn_again(task: Task) -> str:
    """What a start will do for a source."""
    return (
        f"source {task.source}: learnt with another bundle; the agent learns it again "
        f"from {task.seconds:.0f} s of kept sound when it starts"
    )


def learnt(
    config: Config, source: SourceConfig, bundle_id: str, members: list[Member]
) -> str:
    """What a source has learnt with this bundle.

    Raises
    ------
    SiteError
        It is damaged, or of another model.
    """
    path = site_path(config, source, bundle_id)
    if not is_learnt(path):
        return (
            f"source {source.name}: not learnt yet; the agent takes its first "
            f"{source.learn.minutes:g} min as normal"
        )
    site = Site.load(path, members)
    minutes = site.info.seconds / 60
    return f"source {source.name}: learnt {minutes:.1f} min on {site.info.learnt}"
