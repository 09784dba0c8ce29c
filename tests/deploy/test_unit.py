"""The unit as systemd reads it: whole, shut in, and blind to nothing that is needed.

`faults.booted` starts it by a real systemd and tries what it says.
"""

import re
import subprocess
from pathlib import Path

import pytest

from asd_agent.watchdog import FEED_S, STALL_S
from support.installed import ROOT

UNIT = ROOT / "systemd" / "asd-agent.service"
SCRIPT = (ROOT / "deploy" / "install.sh").read_text()
COMMAND = (ROOT / "deploy" / "asd-agent.sh").read_text()
MOST_TENTHS = 20
"""Exposure that is not exceeded, tenths"""


def values(text: str) -> dict[str, list[str]]:
    """Every value that a key is given, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


KEYS = values(UNIT.read_text())


def one(key: str) -> str:
    (value,) = KEYS[key]
    return value


def analyse(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False
    )


def exposure(unit: Path) -> subprocess.CompletedProcess[str]:
    options = ("--offline=true", "--no-pager", f"--threshold={MOST_TENTHS}")
    return analyse("security", *options, unit)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    path = tmp_path / UNIT.name
    program = "/opt/asd/bin/asd-agent"
    text = UNIT.read_text()
    assert text.count(f"ExecStart={program} --config /etc/asd.yaml\n") == 1
    path.write_text(text.replace(program, "/bin/true"))
    return path


def test_systemd_understands_every_line(unit: Path) -> None:
    done = analyse("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_key_that_is_none_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchDogSec"))
    assert "WatchDogSec" in analyse("verify", unit).stderr


def test_it_is_shut_in(unit: Path) -> None:
    done = exposure(unit)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "key", ["CapabilityBoundingSet", "SystemCallFilter", "RestrictAddressFamilies"]
)
def test_it_would_not_be_without(unit: Path, key: str) -> None:
    kept = [line for line in unit.read_text().splitlines() if not line.startswith(key)]
    unit.write_text("\n".join(kept))
    assert exposure(unit).returncode != 0


def test_what_the_agent_reads_is_not_hidden() -> None:
    # The runtimes look in /proc/cpuinfo and in /sys for the processor.
    assert "ProcSubset" not in KEYS
    assert not any(
        "/sys" in value or "/proc" in value
        for found in KEYS.values()
        for value in found
    )
    # It would hide /dev/snd.
    assert "PrivateDevices" not in KEYS
    assert KEYS["DeviceAllow"] == ["char-alsa rw"]
    # It would forbid to ask whether the clock is set.
    assert "ProtectClock" not in KEYS
    assert "adjtimex" in KEYS["SystemCallFilter"][-1]
    # systemd and the journal are told by such sockets.
    assert "AF_UNIX" in one("RestrictAddressFamilies")


def test_whatever_stalls_is_started_anew_within_half_a_minute() -> None:
    watchdog_s = int(one("WatchdogSec"))
    # A stopped process does not heed SIGABRT: it is killed after the time for it.
    assert watchdog_s + int(one("TimeoutAbortSec")) + int(one("RestartSec")) < 30
    # The agent that sees a stall itself comes first, however late it was fed.
    assert watchdog_s >= STALL_S + FEED_S
    assert one("Type") == "notify"
    assert one("NotifyAccess") == "main"


def test_it_is_started_for_ever() -> None:
    assert one("Restart") == "always"
    assert one("StartLimitIntervalSec") == "0"
    assert "Requires" not in KEYS
    # Nor does it wait for a network that may not come.
    assert "network-online" not in UNIT.read_text()


def test_memory_of_a_child_that_runs_out_is_not_the_end_of_the_agent() -> None:
    assert one("OOMPolicy") == "continue"
    assert one("LimitCORE") == "0"


def test_commands_of_people_have_the_rights_of_the_service() -> None:
    given = dict(re.findall(r"--property=(\w+)='?([^'\s]+(?: \w+)?)'?", COMMAND))
    assert given["User"] == UNIT.stem
    for key in ("DynamicUser", "SupplementaryGroups", "StateDirectory", "UMask"):
        assert given[key] == one(key), key
    for variable in KEYS["Environment"]:
        name = variable.partition("=")[0]
        assert name == "PYTHONFAULTHANDLER" or variable in COMMAND


def test_what_the_unit_names_is_made_by_the_script() -> None:
    assert "groupadd --system asd" in SCRIPT
    assert one("SupplementaryGroups") == "audio asd"
    assert one("ExecStart").startswith("/opt/asd/bin/asd-agent ")
    for name, value in (
        ("home", "/opt/asd"),
        ("config", "/etc/asd.yaml"),
        ("state", f"/var/lib/{one('StateDirectory')}"),
        ("unit", UNIT.name),
    ):
        assert re.search(rf"^{name}={value}\b", SCRIPT, re.MULTILINE), name


def test_it_names_no_other_start_of_the_agent() -> None:
    # What runs at boot is in multi-user.target: a device has no desktop.
    assert KEYS["WantedBy"] == ["multi-user.target"]
