"""Who we are and whom we trust, read from the files that the configuration names."""

import ssl
from pathlib import Path

from asd_agent.config import MqttConfig
from asd_agent.errors import ConfigError


def password(config: MqttConfig) -> str | None:
    """Read the password, for a connection about to be made; it is never kept.

    Raises
    ------
    ConfigError
        The file cannot be read.
    """
    if config.password_file is None:
        return None
    try:
        lines = config.password_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"mqtt.password_file {config.password_file} cannot be read: {error}. "
            "Its first line must be the password, as UTF-8 text that this user may read"
        ) from error
    return lines[0] if lines else ""


def tls_context(config: MqttConfig) -> ssl.SSLContext | None:
    """Build a context that verifies certificate and host name; None without TLS.

    Raises
    ------
    ConfigError
        A certificate or key is missing or is not PEM.
    """
    tls = config.tls
    if tls is False:
        return None
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except OSError as error:
        raise _unusable("ca", tls.ca, error) from error
    if tls.cert is not None:
        try:
            # Without a callback a protected key would ask at the terminal.
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
        except OSError as error:
            raise _unusable("cert and mqtt.tls.key", tls.cert, error) from error
    return context


def _unusable(key: str, path: Path | None, error: OSError) -> ConfigError:
    return ConfigError(
        f"mqtt.tls.{key} {path} cannot be used: {error.strerror or error}. "
        "It must be a readable PEM file without a pass phrase"
    )
