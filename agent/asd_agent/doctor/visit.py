"""All examinations in order. A later one uses what an earlier one has opened."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture import devices
from asd_agent.capture.chunk import Chunk
from asd_agent.config import Config, SourceConfig
from asd_agent.doctor import (
    broker,
    machine,
    microphone,
    model,
    settings,
    software,
    sound,
    storage,
)
from asd_agent.doctor.examination import Examination
from asd_agent.doctor.finding import Finding, ok, refused, skip
from asd_agent.doctor.likeness import Likeness
from asd_agent.doctor.listening import listen
from asd_agent.doctor.meter import Meter
from asd_agent.doctor.running import Running, agent_of
from asd_agent.doctor.tape import tape
from asd_agent.errors import ConfigError
from asd_agent.features.spec import FeatureSpec, LogMelSpec
from asd_agent.health import clock_synced
from asd_agent.setup import choose_source, open_source, site_path


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    config: Path
    source: str | None = None
    """Only this one; None: all"""
    seconds: float = 5.0
    """Of sound that is listened to, of each source"""
    disturb: bool = False
    """Whether a running agent may be thrown off the broker"""


@dataclass
class Visit:
    """One look at one device."""

    options: Options
    config: Config | None = None
    """None: it cannot be loaded"""
    bundle: Bundle | None = None
    members: list[Member] = field(default_factory=list)
    agent: Running = Running.UNKNOWN
    on_config: Callable[[Config], object] = lambda config: None
    """Told of the configuration as soon as it is loaded"""

    def examinations(self) -> Iterator[Examination]:
        """Everything that can be looked at, in order; take them one by one."""
        yield Examination("configuration", "file", self._settings)
        yield from _of_machine()
        config = self.config
        if config is None:
            yield Examination("the rest", "all of it", _nothing_else)
            return
        yield from self._of_state(config)
        yield from self._of_bundle(config)
        if any(source.microphone for source in config.sources):
            part = "microphones"
            yield Examination(part, "PortAudio", software.sound_library)
            yield Examination(part, "device nodes", microphone.nodes)
        for source in self._sources(config):
            yield from self._of_source(config, source)
        yield Examination(_broker_part(config), "broker", partial(self._broker, config))

    def _settings(self) -> Iterator[Finding]:
        config, finding = settings.read(self.options.config)
        yield finding
        if config is None:
            return
        self.on_config(config)
        self.config = config
        self.agent = agent_of(config.state_dir)
        yield from settings.files(config)
        yield from settings.user()
        yield ok("agent", self.agent.value)
        if self.options.source is not None:
            try:
                choose_source(config, self.options.source)
            except ConfigError as error:
                yield refused("source", error, "name one of them; all are looked at")

    def _of_state(self, config: Config) -> Iterator[Examination]:
        part = "state folder"
        yield Examination(part, "folder", partial(storage.storage, config))
        part = "software"
        yield Examination(part, "libraries", software.libraries)
        served = partial(
            software.metrics, config.metrics, self.agent, software.bind_once
        )
        yield Examination(part, "metrics", served)

    def _of_bundle(self, config: Config) -> Iterator[Examination]:
        yield Examination("bundle", "bundle", partial(self._open_bundle, config))
        yield Examination("bundle", "model", partial(self._open_members, config))
        yield Examination("bundle", "speed", partial(self._speed, config))

    def _open_bundle(self, config: Config) -> Iterator[Finding]:
        self.bundle, findings = model.open_it(config)
        yield from findings

    def _open_members(self, config: Config) -> Iterator[Finding]:
        if self.bundle is None:
            yield skip("model, speed", "not looked at: there is no good bundle")
            return
        self.members, findings = model.open_members(config, self.bundle)
        yield from findings

    def _speed(self, config: Config) -> Iterator[Finding]:
        if self.members:
            took_s = model.time_units(self.members)
            beside = self.agent is Running.YES
            yield model.speed(self.members, len(config.sources), took_s, beside=beside)

    def _sources(self, config: Config) -> Iterator[SourceConfig]:
        named = [s for s in config.sources if s.name == self.options.source]
        yield from named or config.sources

    def _of_source(self, config: Config, source: SourceConfig) -> Iterator[Examination]:
        part = f"source {source.name}"
        if source.microphone is not None:
            yield Examination(part, "sound", partial(self._listen_live, config, source))
        else:
            yield Examination(part, "recording", partial(tape, source))
            yield Examination(part, "sound", partial(self._hear, config, source))
        yield Examination(part, "learnt", partial(self._learnt, config, source))

    def _listen_live(self, config: Config, source: SourceConfig) -> Iterator[Finding]:
        device, finding = microphone.device(source, devices.find)
        yield finding
        if device is None:
            yield skip("sound", "not listened to: there is no device")
            return
        held = microphone.in_use(device, self.agent)
        if held is not None:
            yield held
            return
        yield from self._hear(config, source)

    def _hear(self, config: Config, source: SourceConfig) -> Iterator[Finding]:
        live = source.microphone is not None
        # A recording is read as fast as it can be, and once.
        once = source.model_copy(update={"pace": "fast", "loop": False})
        meter = Meter()
        likeness = Likeness(self._features[0]) if self.bundle else None

        def take(chunk: Chunk, at_s: float) -> None:
            meter.push(chunk, at_s)
            if likeness is not None:
                likeness.push(chunk)

        heard = listen(open_source(once), self.options.seconds, take)
        yield from sound.judge(heard, meter, live=live)
        if not meter.chunks or meter.is_constant:
            return
        if self.bundle is not None:
            yield sound.bandwidth(meter, max(map(highest_hz, self._features)))
        site = self._site(config, source)
        found = likeness.finding(site) if likeness and site else None
        if found is not None:
            yield found

    @property
    def _features(self) -> list[FeatureSpec]:
        assert self.bundle is not None  # noqa: S101 - asked by who knows
        return [spec.features for spec in self.bundle.manifest.members]

    def _site(self, config: Config, source: SourceConfig) -> Site | None:
        if self.bundle is None or not self.members:
            return None
        path = site_path(config, source, self.bundle.manifest.id)
        return Site.load(path, self.members) if path.is_file() else None

    def _learnt(self, config: Config, source: SourceConfig) -> Iterator[Finding]:
        if self.bundle is None or not self.members:
            yield skip("learnt", "not looked at: there is no good bundle")
            return
        yield from model.learnt_of(config, source, self.bundle, self.members)

    def _broker(self, config: Config) -> Iterator[Finding]:
        if config.mqtt is None:
            text = "none is configured: decisions are only logged"
            yield ok("broker", text)
            return
        yield from broker.broker(
            broker.Visitor.of(config, config.mqtt, self.agent, self.options.disturb)
        )


def highest_hz(features: FeatureSpec) -> float:
    """Highest frequency that a front end listens to."""
    if isinstance(features, LogMelSpec):
        return features.top_hz
    return features.rate_hz / 2


def _of_machine() -> Iterator[Examination]:
    part = "this machine"

    def clock() -> Iterator[Finding]:
        return machine.clock(datetime.now(timezone.utc), clock_synced())

    yield Examination(part, "computer", machine.computer)
    yield Examination(part, "clock", clock)
    yield Examination(part, "temperature", machine.temperature)
    yield Examination(part, "power", machine.power)
    yield Examination(part, "memory", machine.memory)


def _nothing_else() -> Iterator[Finding]:
    yield skip(
        "state, bundle, sources, broker", "not looked at: there is no configuration"
    )


def _broker_part(config: Config) -> str:
    return f"broker {config.mqtt.host}:{config.mqtt.port}" if config.mqtt else "broker"
