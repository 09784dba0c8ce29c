"""Targets: the configuration and the secrets that it names."""

import random
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from asd_agent.bundle.signature import load_public_key
from asd_agent.config import MqttConfig
from asd_agent.config_file import load
from asd_agent.errors import ConfigError
from asd_agent.mqtt.security import password, tls_context
from faults.fuzz_target import Make, Target
from faults.mutation import YAML_WORDS, altered, mutated
from support.authority import Authority
from support.bundles import key_pair

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
REFUSALS = (ConfigError,)


def configuration(folder: Path) -> Target:
    """The configuration, its text and its values."""
    etc = folder / "etc"
    (etc / "bundle").mkdir(parents=True)
    (etc / "bundle" / "manifest.json").touch()
    text = PAGE.read_text(encoding="utf-8")
    least, full = re.findall(r"```yaml\n(.*?)```", text, re.S)
    for name in re.findall(r"/etc/asd/([\w.-]+)", full):
        (etc / name).is_dir() or (etc / name).touch()
    path = folder / "asd.yaml"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        load(path)

    seeds = (least.encode(), full.replace("/etc/asd", str(etc)).encode())
    return Target("configuration", seeds, read, _tampered, REFUSALS)


def _tampered(rng: random.Random, content: bytes) -> bytes:
    if rng.random() < 0.5:
        return mutated(rng, content, YAML_WORDS)
    value = _parsed(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = altered(rng, value)
    try:
        text = yaml.safe_dump(value, allow_unicode=rng.random() < 0.5)
        return text.encode("utf-8", "surrogatepass")
    except ValueError:  # a number too long to be written
        return mutated(rng, content, YAML_WORDS)


@lru_cache(maxsize=4)
def _parsed(content: bytes) -> Any:
    return yaml.safe_load(content)  # `altered` leaves it as it is


def password_file(folder: Path) -> Target:
    """The file with the password."""
    path = folder / "password"
    keys = {"host": "b", "username": "u", "password_file": path}
    config = MqttConfig.model_validate(keys)

    def read(content: bytes) -> None:
        path.write_bytes(content)
        password(config)

    seeds = (b"correct horse\n", "pässwörd\r\nmore\n".encode())
    return Target("password file", seeds, read, refusals=REFUSALS)


def certificates(folder: Path) -> Target:
    """Authority, certificate and key of the connection, one at a time."""
    authority = Authority(folder / "right")
    pair = authority.sign("client")
    paths = {"ca": authority.ca, "cert": pair.cert, "key": pair.key}
    good = {path: path.read_bytes() for path in paths.values()}
    config = MqttConfig.model_validate({"host": "b", "tls": paths})

    def read(content: bytes) -> None:
        for path, before in good.items():
            path.write_bytes(content)
            try:
                tls_context(config)
            except ConfigError:
                continue
            finally:
                path.write_bytes(before)

    return Target("certificates", tuple(good.values()), read, refusals=())


def public_key(folder: Path) -> Target:
    """A key that bundles are signed with."""
    _, path = key_pair(folder)
    good = path.read_bytes()

    def read(content: bytes) -> None:
        path.write_bytes(content)
        load_public_key(path)

    return Target("public key", (good,), read, refusals=REFUSALS)


SETTINGS: dict[str, Make] = {
    "configuration": configuration,
    "password file": password_file,
    "certificates": certificates,
    "public key": public_key,
}
