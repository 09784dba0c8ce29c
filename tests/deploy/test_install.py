"""install.sh: what it makes, keeps, refuses and takes away, run for real.

The software is a stand-in, and so are systemd and apt-get; `faults.booted` installs the
agent itself and starts it by a real systemd.
"""

import grp
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from asd_agent.config_file import load
from support.installed import ROOT, SCRIPT, Machine, fake_wheel

pytestmark = pytest.mark.root
SCRIPTS = sorted((ROOT / "deploy").glob("*.sh"))
UNIT = "etc/systemd/system/asd-agent.service"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="module")
def first(wheels: Path) -> Path:
    return fake_wheel(wheels, "1.0")


@pytest.fixture(scope="module")
def installed(
    tmp_path_factory: pytest.TempPathFactory, wheels: Path, first: Path
) -> Machine:
    """A machine with version 1.0 that was never booted; it must not be changed."""
    machine = Machine.make(tmp_path_factory.mktemp("installed"))
    words = ("--wheel", first, "--packages", wheels)
    done = machine.install(*words, python=sys.executable)
    assert done.returncode == 0, done.stderr
    assert "/etc/asd.yaml is new" in done.stdout
    assert "sudo asd-agent devices" in done.stdout
    return machine


@pytest.fixture
def machine(installed: Machine, tmp_path: Path) -> Machine:
    """A machine with version 1.0, for one test."""
    return installed.copy(tmp_path / "machine")


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A machine without the agent."""
    return Machine.make(tmp_path / "machine")


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:o}"


def test_all_is_in_its_place(installed: Machine) -> None:
    etc = installed.folder / "etc"
    assert installed.version() == "1.0"
    shipped = ROOT / "systemd/asd-agent.service"
    assert (installed.folder / UNIT).read_bytes() == shipped.read_bytes()
    assert installed.calls() == ["--quiet enable asd-agent.service"]
    assert mode(etc / "asd.yaml") == "644"
    assert mode(etc / "asd") == "750"
    command = installed.folder / "commands/asd-agent"
    assert command.read_bytes() == (ROOT / "deploy/asd-agent.sh").read_bytes()
    assert mode(command) == "755"
    assert re.search(r"^asd:", (etc / "group").read_text(), re.MULTILINE)


def test_python_of_the_agent_finds_its_packages(installed: Machine) -> None:
    done = installed.run("/opt/asd/bin/python", "-c", "import asd_agent.service")
    assert done.returncode == 0, done.stderr


def test_the_configuration_is_one_that_the_agent_takes(installed: Machine) -> None:
    config = load(installed.folder / "etc/asd.yaml")
    assert re.fullmatch("[a-z0-9][a-z0-9_-]*", config.device)
    assert config.state_dir == Path("/var/lib/asd")


def test_an_upgrade_keeps_the_configuration_and_the_version_that_runs(
    machine: Machine, wheels: Path
) -> None:
    config = machine.folder / "etc/asd.yaml"
    config.write_text("device: mine\n")
    key = machine.folder / "etc/asd/mqtt-password"
    key.write_text("secret\n")
    key.chmod(0o600)
    before = machine.versions
    newer = fake_wheel(wheels, "2.0")
    done = machine.install("--wheel", newer, "--packages", wheels)
    assert done.returncode == 0, done.stderr
    assert machine.version() == "2.0"
    assert config.read_text() == "device: mine\n"
    assert key.read_text() == "secret\n"
    assert mode(key) == "640"
    assert "systemd does not run here" in done.stdout
    assert "secret" not in done.stdout + done.stderr
    # Somebody may have started it without systemd: it goes with the next upgrade.
    assert set(before) < set(machine.versions)
    assert len(machine.versions) == 2


def test_a_running_agent_is_started_anew_and_its_version_goes(
    machine: Machine, wheels: Path
) -> None:
    machine.boot()
    newer = fake_wheel(wheels, "3.0")
    done = machine.install("--wheel", newer, "--packages", wheels)
    assert done.returncode == 0, done.stderr
    assert "restart asd-agent.service" in machine.calls()
    assert machine.calls().index("daemon-reload") < machine.calls().index(
        "restart asd-agent.service"
    )
    assert machine.version() == "3.0"
    assert len(machine.versions) == 1


def test_a_version_that_does_not_start_goes_and_the_one_before_comes_back(
    machine: Machine, wheels: Path
) -> None:
    machine.boot()
    (machine.folder / "run/fails").touch()
    before = machine.versions
    unit = machine.folder / UNIT
    unit.write_text("# of version 1.0\n")
    kept = machine.folder / "opt/asd-versions" / before[0] / "asd-agent.service"
    kept.write_text("# of version 1.0\n")
    newer = fake_wheel(wheels, "4.0")
    done = machine.install("--wheel", newer, "--packages", wheels)
    assert done.returncode == 2
    assert "the one before is back. Why: journalctl" in done.stderr
    assert machine.version() == "1.0"
    assert machine.versions == before
    assert unit.read_text() == "# of version 1.0\n"
    assert machine.calls().count("restart asd-agent.service") == 2


def test_software_that_does_not_work_here_is_not_taken(
    machine: Machine, wheels: Path
) -> None:
    before = machine.versions
    broken = fake_wheel(wheels, "5.0", code=4)
    done = machine.install("--wheel", broken, "--packages", wheels)
    assert done.returncode == 2
    assert "does not work on this machine" in done.stderr
    assert machine.version() == "1.0"
    assert machine.versions == before


def test_a_package_that_cannot_be_had_changes_nothing(
    machine: Machine, wheels: Path, first: Path
) -> None:
    before = machine.versions
    words = ("--wheel", first, "--packages", wheels, "--add", "no-such-package")
    done = machine.install(*words)
    assert done.returncode == 2
    assert "no-such-package could not be installed" in done.stderr
    assert machine.versions == before
    assert machine.version() == "1.0"


def test_files_of_the_device_come_with_it(
    bare: Machine, tmp_path: Path, wheels: Path, first: Path
) -> None:
    files = tmp_path / "press-07"
    files.mkdir()
    (files / "asd.yaml").write_text("device: press-07\nmqtt: {host: broker}\n")
    (files / "mqtt-password").write_text("secret\n")
    (files / "mqtt-password").chmod(0o600)
    words = ("--device-files", files, "--wheel", first, "--packages", wheels)
    done = bare.install(*words)
    assert done.returncode == 0, done.stderr
    etc = bare.folder / "etc"
    config = yaml.safe_load((etc / "asd.yaml").read_text())
    assert config["device"] == "press-07"
    assert config["mqtt"] == {"host": "broker"}
    assert config["sources"]
    password = etc / "asd/mqtt-password"
    assert mode(password) == "640"
    group = next(
        line.split(":")
        for line in (etc / "group").read_text().splitlines()
        if line.startswith("asd:")
    )
    assert password.stat().st_uid == 0
    assert password.stat().st_gid == int(group[2])
    assert not (etc / "asd/asd.yaml").exists()


def test_uninstall_keeps_what_is_the_users(machine: Machine) -> None:
    machine.boot()
    learnt = machine.folder / "lib/asd/sites"
    learnt.mkdir(parents=True)
    done = machine.install("--uninstall")
    assert done.returncode == 0, done.stderr
    assert machine.calls()[1:] == [
        "--quiet stop asd-agent.service",
        "--quiet disable asd-agent.service",
        "daemon-reload",
    ]
    assert not (machine.folder / UNIT).exists()
    assert not (machine.folder / "opt/asd").is_symlink()
    assert not (machine.folder / "opt/asd-versions").exists()
    assert not (machine.folder / "commands/asd-agent").exists()
    assert (machine.folder / "etc/asd.yaml").exists()
    assert (machine.folder / "etc/asd").is_dir()
    assert learnt.is_dir()
    again = machine.install("--uninstall", "--purge")
    assert again.returncode == 0, again.stderr
    assert not (machine.folder / "etc/asd.yaml").exists()
    assert not (machine.folder / "etc/asd").exists()
    assert not learnt.exists()
    assert "\nasd:" not in (machine.folder / "etc/group").read_text()


def test_uninstall_where_nothing_is_takes_nothing(bare: Machine) -> None:
    done = bare.install("--uninstall", "--purge")
    assert done.returncode == 0, done.stderr


def test_help_names_every_option() -> None:
    done = subprocess.run(
        [SCRIPT, "--help"], capture_output=True, text=True, check=True
    )
    named = set(re.findall(r"--[a-z-]+", done.stdout))
    parsed = re.search(r"while \[ \$# -gt 0.*?^done", SCRIPT.read_text(), re.S | re.M)
    assert parsed
    assert named == set(re.findall(r"--[a-z][a-z-]+", parsed[0])) - {"--help"}


def test_the_page_names_every_option() -> None:
    done = subprocess.run(
        [SCRIPT, "--help"], capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs" / "install.md").read_text()
    for option in set(re.findall(r"--[a-z-]+", done.stdout)):
        assert re.search(rf"`{option}\b|sh {option}\b", page), option


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(
        ["shellcheck", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_nothing_is_run_that_came_from_the_web() -> None:
    for script in SCRIPTS:
        assert not re.search(r"\b(curl|wget)\b", script.read_text())


def test_the_group_of_sound_is_known_here() -> None:
    # The unit names it, and systemd does not start a unit of an unknown group.
    assert grp.getgrnam("audio")
