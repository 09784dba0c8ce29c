import os
import ssl
from pathlib import Path

import pytest

from asd_agent.config import MqttConfig, TlsConfig
from asd_agent.errors import ConfigError
from asd_agent.mqtt.security import MAX_PASSWORD_BYTES, password, tls_context, why
from support.broker import Certificates


def config(**keys: object) -> MqttConfig:
    return MqttConfig.model_validate({"host": "broker", **keys})


def test_the_password_is_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret \nnot this\n")
    assert password(config(username="u", password_file=file)) == "s3cret "
    assert password(config()) is None


def test_an_unreadable_password_names_key_and_file(tmp_path: Path) -> None:
    file = tmp_path / "absent"
    with pytest.raises(ConfigError, match=r"mqtt\.password_file .*absent"):
        password(config(username="u", password_file=file))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        password(config(username="u", password_file=tmp_path / "binary"))


def test_certificate_and_host_name_are_verified_by_default() -> None:
    context = tls_context(config())
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_without_tls_there_is_no_context() -> None:
    assert tls_context(config(host="localhost", tls=False)) is None


def test_bad_files_name_the_key(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate\n")
    for ca in (junk, tmp_path / "absent.pem"):
        with pytest.raises(ConfigError, match=r"mqtt\.tls\.ca .*\.pem cannot be used"):
            tls_context(config(tls={"ca": ca}))
    good = Certificates.make(tmp_path / "tls")
    with pytest.raises(ConfigError, match=r"mqtt\.tls\.cert and mqtt\.tls\.key"):
        tls_context(config(tls={"ca": good.ca, "cert": good.cert, "key": junk}))


def test_a_client_certificate_is_loaded(tmp_path: Path) -> None:
    made = Certificates.make(tmp_path)
    tls = TlsConfig(ca=made.ca, cert=made.cert, key=made.key)
    assert tls_context(config(tls=tls)) is not None


def test_what_a_password_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content in (b"", b"\nsecond", b"x" * (MAX_PASSWORD_BYTES + 1)):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match="Its first line must be the password"):
            password(config(username="u", password_file=file))
    file.write_bytes(b"x" * MAX_PASSWORD_BYTES)
    assert password(config(username="u", password_file=file)) == file.read_text()


def test_a_pipe_for_a_certificate_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is not a plain file"):
        tls_context(config(tls={"ca": tmp_path / "pipe"}))


def test_every_error_has_a_sentence() -> None:
    """Those of real brokers are in `faults.transport`."""
    assert why(OSError(113, "No route to host")) == "No route to host"
    assert why(TimeoutError()).startswith("no answer. See mqtt.host")
    assert why(ValueError("odd")) == "odd"
    assert "hangs up" in why(BrokenPipeError())
    assert why(ssl.SSLError(1, "odd")).startswith("no TLS: ")
