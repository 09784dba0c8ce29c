"""The scripts that set a broker up: what they refuse, keep, repair and never show."""

import getpass
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from asd_agent.config_file import load
from support.broker import Certificates
from support.close_client import HOST
from support.deployed import AUDITOR, SCRIPTS, Deployed, provision

A = "press-07"
USERS = {"exporter", "dashboard", AUDITOR}
BAD_NAMES = (
    *("", "A", "Press-07", "press 07", "press/07", "+", "#", "press+", "$SYS", ".."),
    *("-press", "_press", "press\n08", "pr\u00e4sse", "a" * 64, "../press", "press:07"),
    *("press*", "$(id)", "`id`", "press;id", "press'07", "bundles", *sorted(USERS)),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A broker that is set up and does not run."""
    return Deployed(tmp_path_factory.mktemp("provisioned"))


def tree(folder: Path) -> dict[str, tuple[bytes, float]]:
    """Content and time of change of every file that counts."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime)
        for file in folder.rglob("*")
        if file.is_file() and file.name != ".lock"
    }


def users(folder: Path) -> list[str]:
    """Those in the password file."""
    lines = (folder / "passwords").read_text().splitlines()
    return [line.split(":")[0] for line in lines]


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("options", [(), ("--certificate",), ("--remove",)])
def test_a_bad_name_changes_nothing(
    made: Deployed, name: str, options: tuple[str, ...]
) -> None:
    before = tree(made.folder)
    done = provision("device", *made.options, *options, name)
    assert done.returncode == 2
    assert "provision-device.sh: " in done.stderr
    assert done.stdout == ""
    assert tree(made.folder) == before


@pytest.mark.parametrize("name", ["a", "0", "press_07-b", "a" * 63])
def test_a_good_name_is_a_user(made: Deployed, name: str) -> None:
    made.device(name)
    assert name in users(made.folder)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("one", "two"),
        ("--port", "0", HOST),
        ("--port", "65536", HOST),
        ("--port", "x", HOST),
        ("--port",),
        ("--certificates", "-1", HOST),
        ("--folder", "relative", HOST),
        ("--data", "/with blank", HOST),
        ("--root", "/factory", HOST),
        ("--root", "factory/", HOST),
        ("--root", "a//b", HOST),
        ("--root", "factory/+", HOST),
        ("--root", "fac&tory", HOST),
        ("--save-every", "0", HOST),
        ("--save-every", "1.5", HOST),
        ("--user", "nobody-of-that-name", HOST),
        ("--account", "Of|Mine", HOST),
        ("--unknown", HOST),
        ("host name",),
        ("host/../name|",),
    ],
)
def test_a_bad_option_of_the_broker_changes_nothing(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    own = ("--folder", tmp_path / "etc", "--data", tmp_path / "data")
    done = provision("broker", *own, "--user", getpass.getuser(), *words)
    assert done.returncode == 2
    assert done.stderr.startswith("provision-broker.sh: ")
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    broker = Deployed(tmp_path)
    broker.device(A)
    broker.device("press-08", "--certificate")
    before = tree(broker.folder)
    broker.device(A)
    broker.device("press-08", "--certificate")
    done = again(broker)
    assert done.stdout == f"{broker.folder}: is as it should be\n"
    assert tree(broker.folder) == before


def again(broker: Deployed, *options: str) -> subprocess.CompletedProcess[str]:
    """Provision the same broker once more."""
    _, port, certificates, root, user = (broker.folder / "plant").read_text().split()
    return provision(
        "broker",
        *broker.options,
        *("--data", broker.folder.parent / "data", "--user", user, "--root", root),
        *("--port", port, "--bind", "127.0.0.1", "--certificates", certificates),
        *("--account", AUDITOR, *options, HOST),
    )


def test_secrets_are_for_their_owner_and_never_shown(made: Deployed) -> None:
    shown = [again(made)]
    for options in ((), ("--certificate",)):
        shown.append(provision("device", *made.options, *options, "press-20"))
    assert all(done.returncode == 0 for done in shown)
    text = "".join(done.stdout + done.stderr for done in shown)
    secrets = list(made.folder.rglob("mqtt-password")) + list(
        made.folder.rglob("*.key")
    )
    assert len(secrets) >= len(USERS) + 4
    for file in (*secrets, made.folder / "passwords", made.folder / "acl"):
        assert file.stat().st_mode & 0o777 == 0o600, file
        assert file.read_text().strip() not in text
    for folder in ("users", "devices"):
        assert (made.folder / folder).stat().st_mode & 0o777 == 0o700
    passwords = [file.read_text().strip() for file in secrets if file.suffix == ""]
    assert len(set(passwords)) == len(passwords)
    assert all(len(password) == 64 for password in passwords)
    hashed = (made.folder / "passwords").read_text()
    assert not any(password in hashed for password in passwords)


@pytest.mark.parametrize("options", [(), ("--certificate",)])
def test_the_part_of_the_configuration_loads(
    made: Deployed, tmp_path: Path, options: tuple[str, ...]
) -> None:
    place = made.device("press-30", *options)
    values = yaml.safe_load((place / "asd.yaml").read_text())
    source = {"name": "pump", "microphone": "default"}
    file = tmp_path / "asd.yaml"
    file.write_text(yaml.safe_dump({**values, "sources": [source]}))
    config = load(file)
    assert config.device == "press-30"
    assert config.mqtt is not None
    assert config.mqtt.username == config.device
    assert config.mqtt.port == (made.certificate_port if options else made.port)
    assert config.mqtt.tls is not False


@pytest.mark.parametrize(
    "lost",
    ["mqtt-password", "asd.yaml", "broker-ca.pem", "../../passwords", "../../acl"],
)
def test_a_lost_file_is_made_again(tmp_path: Path, lost: str) -> None:
    broker = Deployed(tmp_path)
    place = broker.device(A)
    (place / lost).unlink()
    assert again(broker).returncode == 0
    broker.device(A)
    assert (place / lost).stat().st_size > 0
    # Each user once, whatever was there before.
    assert sorted(users(broker.folder)) == sorted([A, *USERS])
    with broker, broker.client(A), broker.client("dashboard"):
        pass


def test_a_certificate_that_soon_runs_out_is_made_anew(tmp_path: Path) -> None:
    broker = Deployed(tmp_path / "broker")
    authority = broker.ca.read_bytes()
    old = Certificates.make(tmp_path / "old")  # for two days
    for name, file in (("server.pem", old.cert), ("server.key", old.key)):
        shutil.copy(file, broker.folder / "tls" / name)
    assert "systemctl restart" in again(broker).stdout
    assert broker.ca.read_bytes() == authority  # devices trust it
    with broker, broker.client("dashboard"):
        pass


def test_another_host_gets_another_certificate(tmp_path: Path) -> None:
    broker = Deployed(tmp_path)
    for host, kind in (("broker.example", "DNS:"), ("192.0.2.7", "IP Address:")):
        done = provision("broker", *broker.options, *own(tmp_path), host)
        assert done.returncode == 0, done.stderr
        pem = broker.folder / "tls" / "server.pem"
        ask = ("openssl", "x509", "-in", pem, "-noout", "-ext", "subjectAltName")
        text = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        assert f"{kind}{host}" in text


def own(folder: Path) -> Iterator[str | Path]:
    yield from ("--data", folder / "data", "--user", getpass.getuser())


def test_a_configuration_of_somebody_else_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "mosquitto.conf").write_text("listener 1883\n")
    for _ in range(2):
        done = provision("broker", "--folder", folder, *own(tmp_path), HOST)
        assert done.returncode == 0, done.stderr
    kept = folder / "mosquitto.conf.before-asd"
    assert kept.read_text() == "listener 1883\n"
    assert "listener 8883\n" in (folder / "mosquitto.conf").read_text()


def test_rules_of_the_site_and_another_root_are_in_the_acl(tmp_path: Path) -> None:
    broker = Deployed(tmp_path, "--root", "plant-3/hall")
    acl = (broker.folder / "acl").read_text()
    assert "pattern write plant-3/hall/%u/anomaly\n" in acl
    assert "factory" not in acl
    assert acl.endswith(f"user {AUDITOR}\ntopic readwrite #\n")
    values = yaml.safe_load((broker.device(A) / "asd.yaml").read_text())
    assert values["mqtt"]["root"] == "plant-3/hall"


def test_a_store_that_is_saved_at_times_loses_nothing_at_a_stop(tmp_path: Path) -> None:
    broker = Deployed(tmp_path, "--save-every", "3600")
    lines = (broker.folder / "mosquitto.conf").read_text().splitlines()
    assert {"autosave_on_changes false", "autosave_interval 3600"} <= set(lines)
    with broker, broker.client("exporter") as exporter:
        exporter.publish("factory/press-07/bundle/desired", b"desired", retain=True)
    with broker, broker.client("exporter") as exporter:
        exporter.subscribe("factory/press-07/bundle/desired")
        exporter.wait("factory/press-07/bundle/desired", b"desired")


def test_many_at_once_lose_nobody(tmp_path: Path) -> None:
    broker = Deployed(tmp_path)
    names = [f"press-{i:02}" for i in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(broker.device, names))
    assert sorted(users(broker.folder)) == sorted([*names, *USERS])


def test_without_a_broker_there_is_no_device(tmp_path: Path) -> None:
    done = provision("device", "--folder", tmp_path, A)
    assert done.returncode == 2
    assert "run provision-broker.sh" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_no_account(made: Deployed) -> None:
    made.device("press-40")
    done = again(made, "--account", "press-40")
    assert done.returncode == 2
    assert "press-40: is a device" in done.stderr


def test_shellcheck_has_nothing_to_say() -> None:
    scripts = sorted(SCRIPTS.glob("*.sh"))
    command: list[str | Path] = ["shellcheck", "--external-sources", *scripts]
    root = SCRIPTS.parents[1]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", ["broker", "device"])
def test_help_names_every_option(script: str) -> None:
    done = provision(script, "--help")
    assert done.returncode == 0
    text = (SCRIPTS / f"provision-{script}.sh").read_text()
    taken = {
        word for word in text.split() if word.startswith("--") and word[2:].isalpha()
    }
    assert taken - {"--help"} <= set(done.stdout.split()) | {"--"}
