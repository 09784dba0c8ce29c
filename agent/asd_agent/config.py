"""The configuration file as data: every key, its unit, default and rule."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator, model_validator

from asd_agent.capture.device import NUMBER
from asd_agent.config_model import (
    CLASS_PATTERN,
    NAME_PATTERN,
    ROOT_PATTERN,
    Bytes,
    ConfigModel,
    Host,
)

RESERVED_NAMES = frozenset(
    {"anomaly", "status", "info", "health", "request", "response", "bundle", "bundles"}
)
"""Topic levels that a source must not take"""
SHARED_LEVEL = "bundles"
"""Topic level beside the devices, so none may be called so"""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class TlsConfig(ConfigModel):
    """Transport security towards the broker; certificates are always verified."""

    ca: Path | None = None
    """Certificate authority in PEM; none: those of the system"""
    cert: Path | None = None
    """Client certificate in PEM"""
    key: Path | None = None
    """Private key of `cert` in PEM"""

    @model_validator(mode="after")
    def _pair(self) -> "TlsConfig":
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together: give both or neither")
        return self


class OutboxConfig(ConfigModel):
    """Messages that wait for the broker, on disk: they survive a loss of power."""

    max_bytes: Bytes = Field(ByteSize(67_108_864), ge=262_144)
    """Size of the store; when it is full the oldest go first, changes of state last"""
    max_age_s: float = Field(604_800.0, ge=60)
    """Seconds after which a score is given up"""
    commit_s: float = Field(10.0, ge=0.5, le=600)
    """Seconds of scores that a loss of power may cost; a change of state is written
    at once"""


class MqttConfig(ConfigModel):
    """The broker that decisions are published to."""

    host: Host
    """Host name or address"""
    port: int = Field(8883, ge=1, le=65_535)
    root: str = Field("factory", pattern=ROOT_PATTERN, max_length=255)
    """First level of every topic"""
    username: str | None = Field(None, max_length=255)
    password_file: Path | None = None
    """File whose first line is the password"""
    tls: TlsConfig | Literal[False] = TlsConfig()
    """`false` only for a broker on this machine, or with `insecure: true`"""
    insecure: bool = False
    """Accept a broker elsewhere without TLS: anybody can read and write"""
    keepalive_s: int = Field(30, ge=5, le=3600)
    """Seconds between signs of life"""
    interval_s: float = Field(1.0, ge=0.1, le=3600)
    """Seconds between two decisions of one source; a change goes at once"""
    outbox: OutboxConfig = OutboxConfig()

    @model_validator(mode="after")
    def _named(self) -> "MqttConfig":
        if self.password_file is not None and self.username is None:
            # It would be kept to ourselves, and the broker's refusal a riddle.
            raise ValueError("password_file is of no use without username: add it")
        return self

    @model_validator(mode="after")
    def _encrypted(self) -> "MqttConfig":
        if self.tls is False and self.host not in LOOPBACK and not self.insecure:
            raise ValueError(
                f"tls: false is for a broker on this machine; {self.host} is not. "
                "Remove it, or add insecure: true if nobody else shares the network"
            )
        return self


class LearnConfig(ConfigModel):
    """How long a new source is listened to before it is judged."""

    minutes: float = Field(15.0, gt=0, le=1440)
    """Minutes of normal sound that a running agent learns from"""
    keep_bytes: int = Field(268_435_456, ge=0)
    """Learnt sound that is kept so that a later bundle can learn from it; 0: none"""


class SourceConfig(ConfigModel):
    """One machine: a microphone, or recordings in its place."""

    name: str = Field(pattern=NAME_PATTERN)
    microphone: str | None = None
    """A name or identifier as `asd-agent devices` prints it"""
    recording: str | None = None
    """A file, or a pattern such as /srv/pump/*.flac, played in order of name"""
    channel: int = Field(0, ge=0, le=255)
    """The one channel that is listened to, from 0"""
    pace: Literal["realtime", "fast"] = "realtime"
    """How a recording is played: as it was heard, or as fast as possible"""
    loop: bool = False
    """Start a recording again at its end"""
    learn: LearnConfig = LearnConfig()

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED_NAMES:
            raise ValueError(f"{name} is a word of the MQTT topics; take another name")
        return name

    @model_validator(mode="after")
    def _one_input(self) -> "SourceConfig":
        if NUMBER.fullmatch(self.microphone or ""):
            text = "holds a number that another plug changes; write a name as"
            raise ValueError(f"{self.microphone} {text} asd-agent devices prints it")
        if (self.microphone is None) == (self.recording is None):
            raise ValueError("give either microphone or recording")
        return self


def _parse_rule(text: object) -> object:
    if isinstance(text, dict | CountRule):
        return text
    rule = r"\s*(\d{1,9})\s+of\s+(\d{1,9})\s*"
    found = re.fullmatch(rule, text) if isinstance(text, str) else None
    if not found:
        raise ValueError("expected windows of windows, such as 3 of 5")
    return {"k": int(found[1]), "n": int(found[2])}


class CountRule(ConfigModel):
    """So many of so many windows: written ``3 of 5``."""

    k: int = Field(ge=0)
    n: int = Field(ge=1, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return _parse_rule(value)

    @model_validator(mode="after")
    def _possible(self) -> "CountRule":
        if self.k > self.n:
            raise ValueError(f"{self.k} of {self.n} cannot be reached")
        return self


class AlarmConfig(ConfigModel):
    """When a source is called anomalous."""

    per_week: float = Field(1.0, gt=0, le=10_000)
    """False alarms a week that are acceptable; the threshold follows from it"""
    raise_: CountRule = Field(CountRule(k=3, n=5), alias="raise")
    """Windows over the threshold that raise an alarm; a window starts every half"""
    clear: CountRule = CountRule(k=0, n=10)
    """At most so many over the threshold clear it"""

    @model_validator(mode="after")
    def _can_raise(self) -> "AlarmConfig":
        if self.raise_.k < 1:
            raise ValueError("raise: 0 windows would always be an alarm")
        if self.clear.k >= self.raise_.k or self.clear.n < self.raise_.n:
            raise ValueError(
                "clear: needs fewer hits in at least as many windows as raise, or an "
                "alarm would flicker"
            )
        return self


class BundleConfig(ConfigModel):
    """The model that listens."""

    path: Path | None = None
    """Folder of a bundle that stays; none: the newest that was installed, or the one
    that comes with the software"""
    runtime: Literal["auto", "onnx", "tflite", "onnx-gpu"] = "auto"
    """`auto` does as the bundle says; `onnx-gpu`: on an accelerator if there is one"""
    trusted_keys: tuple[Path, ...] = Field((), max_length=16)
    """Public keys in PEM; a bundle must be signed with one of them"""
    allow_unsigned: bool = False
    """Take bundles without a signature: anybody who can write one decides"""
    device_class: str = Field("any", pattern=CLASS_PATTERN)
    """Kind of this device: bundles for it and for `any` are taken"""
    max_bytes: int = Field(134_217_728, ge=1_000_000)
    """Largest bundle that is fetched, all files together"""
    ca: Path | None = None
    """Certificate authority in PEM for downloads; none: those of the system"""
    commit_windows: int = Field(20, ge=1, le=10_000)
    """Healthy windows after which a new bundle stays"""
    test_timeout_s: float = Field(300.0, gt=0, le=86_400)
    """Seconds that testing, or learning from kept sound, may take"""
    test_memory_bytes: int = Field(2_147_483_648, ge=268_435_456)
    """Address space of the process that tests a bundle"""


class ClipsConfig(ConfigModel):
    """What an alarm sounded like, kept as FLAC."""

    max_bytes: Bytes = Field(ByteSize(500_000_000), ge=0)
    """Room for all clips; the oldest make room for new ones. 0: none are kept"""
    before_s: float = Field(10.0, ge=0, le=60)
    """Seconds before the alarm"""
    after_s: float = Field(5.0, ge=0, le=60)
    """Seconds after it"""


class MetricsConfig(ConfigModel):
    """Figures for Prometheus."""

    host: Host = "127.0.0.1"
    """Address that is listened on; another than this machine's shows them to all"""
    port: int = Field(9464, ge=1, le=65_535)


def default_state_dir() -> Path:
    """`/var/lib/asd` for root, else the user's data directory."""
    if os.geteuid() == 0:
        return Path("/var/lib/asd")
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "asd"


class Config(ConfigModel):
    """The whole file. Only `device` and `sources` are required."""

    device: str = Field(pattern=NAME_PATTERN)
    """Name of this device in MQTT topics"""
    state_dir: Path = Field(default_factory=default_state_dir)
    """Folder for what is learnt, and for bundles"""
    groups: tuple[Annotated[str, Field(pattern=NAME_PATTERN)], ...] = Field(
        (), max_length=16
    )
    """Names under which this device is updated together with others"""
    bundle: BundleConfig = BundleConfig()
    mqtt: MqttConfig | None = None
    """None: decisions are only logged"""
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1, max_length=16)]
    alarm: AlarmConfig = AlarmConfig()
    clips: ClipsConfig = ClipsConfig()
    metrics: MetricsConfig | None = None
    """None: no figures are shown"""

    @field_validator("device")
    @classmethod
    def _no_shared_level(cls, name: str) -> str:
        if name == SHARED_LEVEL:
            raise ValueError(f"{name} is a word of the MQTT topics; take another name")
        return name

    @field_validator("sources")
    @classmethod
    def _names_differ(
        cls, sources: tuple[SourceConfig, ...]
    ) -> tuple[SourceConfig, ...]:
        first: dict[str, int] = {}
        for i, source in enumerate(sources):
            if first.setdefault(source.name, i) != i:
                raise ValueError(
                    f"sources[{first[source.name]}] and sources[{i}] both have the "
                    f"name {source.name}; rename one"
                )
        return sources

    def files(self) -> Iterator[tuple[tuple[str | int, ...], Path]]:
        """Every file that must exist, with the key that names it."""
        if self.bundle.path:
            yield ("bundle", "path"), self.bundle.path / "manifest.json"
        for i, file in enumerate(self.bundle.trusted_keys):
            yield ("bundle", "trusted_keys", i), file
        if self.bundle.ca:
            yield ("bundle", "ca"), self.bundle.ca
        if self.mqtt and self.mqtt.password_file:
            yield ("mqtt", "password_file"), self.mqtt.password_file
        if self.mqtt and self.mqtt.tls:
            for key in ("ca", "cert", "key"):
                path = getattr(self.mqtt.tls, key)
                if path:
                    yield ("mqtt", "tls", key), path
