"""Who we are and whom we trust, read from the files that the configuration names."""

import socket
import ssl
from pathlib import Path

from asd_agent.bundle.disk import read_plain
from asd_agent.config import MqttConfig
from asd_agent.errors import ConfigError

MAX_PASSWORD_BYTES = 65_535
"""MQTT has no place for a longer one"""
_TRUST = (
    "the broker's certificate is of an authority that is not trusted. "
    "mqtt.tls.ca must be the certificate of the broker's own authority"
)
_NAME = (
    "the broker's certificate is for another name. "
    "mqtt.host must be a name, or an address, that the certificate says"
)
_REFUSED_CERTIFICATES = {
    9: "the broker's certificate is not valid yet. See that this device's clock is set",
    10: "the broker's certificate has expired. Renew it there; if it is still good, "
    "set this device's clock",
    62: _NAME,
    64: _NAME,
}
"""By OpenSSL's number; of all others the authority is not the one"""
_TLS_ERRORS = {
    "WRONG_VERSION_NUMBER": "does not speak TLS at this port. See mqtt.port, or put a "
    "certificate on the broker",
    "UNSUPPORTED_PROTOCOL": "speaks no TLS that is still safe. It must offer TLS 1.2 "
    "or later",
    "TLSV1_ALERT_PROTOCOL_VERSION": "speaks no TLS that is still safe. It must offer "
    "TLS 1.2 or later",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "wants a client certificate. Give "
    "mqtt.tls.cert and mqtt.tls.key",
    "TLSV1_ALERT_UNKNOWN_CA": "does not trust our certificate. mqtt.tls.cert must be "
    "of the broker's own authority",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "says that our certificate has expired. Renew "
    "mqtt.tls.cert",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "lets our certificate in no more. Give this "
    "device another in mqtt.tls.cert",
    "UNEXPECTED_EOF_WHILE_READING": "hangs up. See that mqtt.port is one with TLS",
}
"""What OpenSSL's words mean: the broker ..."""
_ERRORS = (
    (
        socket.gaierror | UnicodeError,
        "there is no such name. See mqtt.host, and the network's name server",
    ),
    (
        ConnectionRefusedError,
        "nobody listens there. See mqtt.port, and that the broker runs",
    ),
    (
        ConnectionResetError | BrokenPipeError,
        "the broker hangs up. See that mqtt.port is one with TLS",
    ),
    (
        TimeoutError,
        "no answer. See mqtt.host and mqtt.port, the network and its firewalls",
    ),
)


def password(config: MqttConfig) -> str | None:
    """Read the password, for a connection about to be made; it is never kept.

    Raises
    ------
    ConfigError
        The file cannot be read, or its first line is no password.
    """
    path = config.password_file
    if path is None:
        return None
    try:
        # The file may be a link, as those of secrets in a container are.
        raw = read_plain(path.resolve(), MAX_PASSWORD_BYTES)
        line = raw.split(b"\n")[0].decode("utf-8-sig").removesuffix("\r")
    except (OSError, RuntimeError, UnicodeDecodeError) as error:
        # That of UnicodeDecodeError would show the password.
        text = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise _no_password(path, f"cannot be read: {text}") from None
    if not line:
        raise _no_password(path, "is empty, or its first line is")
    if len(raw) > MAX_PASSWORD_BYTES:
        raise _no_password(path, f"has more than {MAX_PASSWORD_BYTES} bytes")
    return line


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
        _check_plain(tls.ca)
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ValueError) as error:
        raise _unusable("ca", tls.ca, error) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None:
        try:
            _check_plain(tls.cert)
            _check_plain(tls.key)
            # Without a callback a protected key would ask at the terminal.
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise _unusable("cert and mqtt.tls.key", tls.cert, error) from error
    return context


def why(error: Exception) -> str:
    """Why no connection could be made, and how to mend it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _REFUSED_CERTIFICATES.get(error.verify_code, _TRUST)
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or str(error)
        known = _TLS_ERRORS.get(reason)
        return f"the broker {known}" if known else f"no TLS: {reason}"
    for kind, text in _ERRORS:
        if isinstance(error, kind):
            return text
    return getattr(error, "strerror", None) or str(error)


def _check_plain(path: Path | None) -> None:
    # A pipe would be waited for for ever.
    if path is not None and path.exists() and not path.is_file():
        raise OSError(0, "is not a plain file")


def _no_password(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"mqtt.password_file {path} {what}. Its first line must be the password, as "
        "UTF-8 text in a file that this user may read"
    )


def _unusable(key: str, path: Path | None, error: Exception) -> ConfigError:
    what = getattr(error, "strerror", None) or str(error)
    return ConfigError(
        f"mqtt.tls.{key} {path} cannot be used: {what}. "
        "It must be a readable PEM file without a pass phrase"
    )
