"""Who we are at which broker: options, environment and file, with nothing leaking."""

from pathlib import Path

import pytest

from asd_agent.config import TlsConfig
from asd_agent.errors import ConfigError
from asd_export.broker import KEYS, access

FILE = """\
host: broker.factory.local
username: fleet
password_file: {folder}/password
tls:
  ca: {folder}/ca.pem
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("sesame\nsecond line\n")
    path = tmp_path / "mqtt.yaml"
    path.write_text(FILE.format(folder=tmp_path))
    return path


def test_a_file_says_it_all(file: Path, tmp_path: Path) -> None:
    found = access({}, file, {})
    assert (found.config.host, found.config.port) == ("broker.factory.local", 8883)
    assert found.config.root == "factory"
    assert found.config.tls == TlsConfig(ca=tmp_path / "ca.pem")
    assert found.password() == "sesame"
    assert found.name == "broker.factory.local:8883"
    assert found.user == "user fleet"


def test_a_whole_configuration_will_do(file: Path, tmp_path: Path) -> None:
    lines = "".join(f"  {line}\n" for line in file.read_text().splitlines())
    whole = tmp_path / "asd.yaml"
    whole.write_text(f"device: press-07\nsources: []\nmqtt:\n{lines}")
    assert access({}, whole, {}) == access({}, file, {})


def test_options_go_before_the_environment_before_the_file(file: Path) -> None:
    environment = {
        "ASD_MQTT_HOST": "of.environment",
        "ASD_MQTT_PORT": "1234",
        "ASD_MQTT_CERT": "/e/cert.pem",
        "ASD_MQTT_KEY": "/e/key.pem",
        "ASD_MQTT_ROOT": "",
    }
    options = {"host": "of.options", "port": None, "cert": Path("/o/cert.pem")}
    found = access(options, file, environment).config
    assert (found.host, found.port, found.root) == ("of.options", 1234, "factory")
    assert found.username == "fleet"
    assert found.tls
    assert found.tls.cert == Path("/o/cert.pem")
    assert found.tls.key == Path("/e/key.pem")
    assert found.tls.ca


def test_the_environment_can_name_the_file(file: Path) -> None:
    assert access({}, None, {"ASD_MQTT_BROKER": str(file)}) == access({}, file, {})


def test_a_password_of_the_environment_goes_first_and_is_not_shown(file: Path) -> None:
    found = access({}, file, {"ASD_MQTT_PASSWORD": "open"})
    assert found.password() == "open"
    assert "open" not in repr(found)
    assert "sesame" not in repr(found)
    named = {"password_file": file.parent / "password"}
    found = access(named, file, {"ASD_MQTT_PASSWORD": "open"})
    assert found.password() == "sesame"


def test_tls_is_on_unless_somebody_says_insecure() -> None:
    assert access({"host": "b"}, None, {}).config.tls == TlsConfig()
    for options, environment in (
        ({"host": "b", "insecure": True}, {}),
        ({"host": "b"}, {"ASD_MQTT_INSECURE": "true"}),
    ):
        found = access(options, None, environment).config
        assert (found.tls, found.insecure, found.port) == (False, True, 1883)
    loud = access({"host": "b", "insecure": True, "port": 8883}, None, {})
    assert loud.config.port == 8883
    assert access({"host": "b"}, None, {"ASD_MQTT_INSECURE": "no"}).config.tls


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("host: [", "not YAML"),
        ("- host", "expected keys"),
        ("host: ''", "host: is empty"),
        ("hots: b\nhost: b", "hots: no such key; known: host, port"),
        ("host: b\nport: 70000", "port: Input should be less than"),
        ("host: b\nroot: a/#", "root: String should match"),
        ("host: b\ntls: false", "tls: false is for a broker on this machine"),
        ("host: b\ntls: {cert: x}", "tls: cert and key go together"),
        ("host: !!python/object/apply:os.system [ls]", "not YAML"),
        ("5: b", "expected keys"),
        ("\x00", "not YAML"),
        ("a: 2026-13-32", "not YAML"),
    ],
)
def test_a_wrong_file_is_told_with_its_key(
    tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "mqtt.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        access({}, path, {})
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_value_that_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.yaml"
    path.write_text("host: b\npassword: sesame\nusername: [sesame]\n")
    with pytest.raises(ConfigError) as caught:
        access({}, path, {})
    assert "password: no such key" in str(caught.value)
    assert "sesame" not in str(caught.value)
    path.write_text("host: b\npassword: sesame: open\n")
    with pytest.raises(ConfigError, match=r"mqtt\.yaml:2: not YAML") as caught:
        access({}, path, {})
    assert "sesame" not in str(caught.value)


def test_a_file_that_is_missing_or_endless_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        access({}, tmp_path / "none", {})
    (tmp_path / "long").write_bytes(b"#" * 70_000)
    with pytest.raises(ConfigError, match="more than"):
        access({}, tmp_path / "long", {})


def test_without_a_broker_it_says_how_to_name_one() -> None:
    with pytest.raises(ConfigError, match="Give --host, or --broker"):
        access(dict.fromkeys(KEYS), None, {})


def test_a_password_file_that_is_gone_is_told(file: Path, tmp_path: Path) -> None:
    (tmp_path / "password").unlink()
    with pytest.raises(ConfigError, match="password_file"):
        access({}, file, {}).password()
