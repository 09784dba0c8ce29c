"""Which broker to speak to, and as whom: from options, the environment and a file.

Options go before the environment, the environment before the file. A password comes
from a file or from the environment, never from the command line, which others see.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from asd_agent.config import MqttConfig
from asd_agent.errors import ConfigError
from asd_agent.mqtt import security

MAX_BYTES = 65_536
"""A longer file is none of ours"""
PREFIX = "ASD_MQTT_"
"""Of the variables of the environment"""
PLAIN_PORT = 1883
"""Where brokers listen without TLS"""
TLS_KEYS = ("ca", "cert", "key")
KEYS = ("host", "port", "root", "username", "password_file", *TLS_KEYS, "insecure")
"""What options and environment can say"""


@dataclass(frozen=True, slots=True)
class Access:
    """A broker and who we are there."""

    config: MqttConfig
    secret: str | None = field(default=None, repr=False)
    """Password of the environment; None: the one in `config.password_file`"""

    def password(self) -> str | None:
        """Password for a connection about to be made.

        Raises
        ------
        ConfigError
            Its file cannot be read.
        """
        return self.secret or security.password(self.config)

    @property
    def name(self) -> str:
        """The broker as people call it."""
        return f"{self.config.host}:{self.config.port}"

    @property
    def user(self) -> str:
        """Who we are, in a sentence."""
        username = self.config.username
        return f"user {username}" if username else "a user without a name"


def access(
    options: Mapping[str, Any],
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Access:
    """Put together what was said about the broker.

    Parameters
    ----------
    options
        Those of `KEYS` that the command line gives; None: not given.
    file
        YAML with the keys of ``mqtt`` in a configuration, or a whole configuration.

    Raises
    ------
    ConfigError
        No broker is named, a value is wrong, or a file cannot be read.
    """
    named = environment.get(f"{PREFIX}BROKER")
    path = file or (Path(named) if named else None)
    values = dict(_read(path)) if path else {}
    told = {key: environment.get(f"{PREFIX}{key.upper()}") or None for key in KEYS}
    for said in (told, options):
        _merge(values, {key: said[key] for key in KEYS if said.get(key) is not None})
    if "host" not in values:
        raise ConfigError(
            "no broker is named. Give --host, or --broker with a file such as\n"
            "  host: broker.factory.local\n  username: fleet\n"
            "  password_file: /etc/asd/fleet-password\n"
            f"or set {PREFIX}HOST"
        )
    try:
        config = MqttConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(error, path))) from error
    secret = environment.get(f"{PREFIX}PASSWORD") or None
    return Access(config, None if options.get("password_file") else secret)


def _merge(values: dict[str, Any], said: Mapping[str, Any]) -> None:
    """Let `said` stand for what `values` say."""
    for key, value in said.items():
        if key in TLS_KEYS:
            tls = values.get("tls")
            values["tls"] = {**(tls if isinstance(tls, dict) else {}), key: value}
        elif key != "insecure":
            values[key] = value
    if str(said.get("insecure", "")).lower() in {"true", "1", "yes"}:
        values |= {"tls": False, "insecure": True}
        values.setdefault("port", PLAIN_PORT)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise ConfigError(f"{path}: has more than {MAX_BYTES} bytes")
        values = yaml.safe_load(raw)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        # Its own text would show the line, which may hold a secret.
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML") from error
    if isinstance(values, dict) and "mqtt" in values:
        values = values["mqtt"]
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"{path}: expected keys such as host: and username:")
    return values


def _problems(error: ValidationError, path: Path | None) -> list[str]:
    """Name what is wrong; no value is shown, for one may be a secret."""
    where = f"{path}: " if path else ""
    lines = []
    for fault in error.errors():
        # A union tells what each of its types would want; the model says it best.
        if any("literal[" in str(part) for part in fault["loc"]):
            continue
        # Names of types stand between names of keys.
        parts = [str(p) for p in fault["loc"] if "Config" not in str(p)]
        key = ".".join(parts) or "broker"
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            known = ", ".join(MqttConfig.model_fields)
            text = f"no such key; known: {known}"
        lines.append(f"{where}{key}: {text}")
    return lines
