"""The command from its words to its files; above all that it keeps secrets."""

import io
import json
import logging
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml

from asd_agent import alone
from asd_agent.cli import main
from asd_agent.doctor import command, dossier, support
from asd_agent.doctor.report import Report
from asd_agent.doctor.scrubber import Scrubber
from asd_agent.errors import ConfigError
from support.agents import Agent, agent, know
from support.broker import Mosquitto, free_port
from support.certificates import authority, signed

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)
MEMBERS = [
    *("report.txt", "report.json", "configuration.yaml", "packages.txt"),
    *("machine.txt", "sound_cards.txt", "state/files.txt", "state/bundles.txt"),
    *("state/bundles.json", "journal.txt"),
]

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    def run(*words: object) -> tuple[int, str, str]:
        code = main(["doctor", *(str(word) for word in words)])
        output, errors = capsys.readouterr()
        assert "Traceback" not in errors
        return code, output, errors

    return run


def test_a_device_that_is_well(made: Agent, say: Say) -> None:
    know(made, made.folder / "bundle")
    code, output, errors = say("--config", made.file)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == f"asd-agent 0.1.0 doctor, {made.file}"
    parts = [line for line in lines if line and not line.startswith(" ")][1:-1]
    assert parts == [
        *("configuration", "this machine", "state folder", "software", "bundle"),
        *("source pump", "broker"),
    ]
    assert lines[-1].startswith("0 failed, ")
    assert "  ok    recording: 1 recording" in lines
    assert "  ok    broker: none is configured: decisions are only logged" in lines
    assert max(map(len, lines)) < 80 + len(str(made.folder))


def test_everything_is_looked_at_even_if_much_is_wrong(made: Agent, say: Say) -> None:
    values = yaml.safe_load(made.file.read_text())
    values["sources"].append({"name": "lost", "recording": "/none/*.wav"})
    values["mqtt"] = {"host": "localhost", "port": free_port(), "tls": False}
    values["bundle"]["allow_unsigned"] = False
    made.file.write_text(yaml.safe_dump(values))
    code, output, _ = say("--config", made.file)
    assert code == 4
    fails = [x for x in output.splitlines() if x.startswith("  FAIL  ")]
    assert [line.split(":")[0].split()[-1] for line in fails] == [
        *("bundle", "recording", "sound", "TCP"),
    ]
    assert "  skip  model, speed: not looked at: there is no good bundle" in output
    assert "  ok    level: " in output  # of the source that is well
    assert output.count("fix: ") >= len(fails)


def test_a_configuration_that_cannot_be_loaded(made: Agent, say: Say) -> None:
    made.file.write_text("device: Press 07\nsources: []\n")
    code, output, _ = say("--config", made.file)
    assert code == 2
    assert "  FAIL  file:" in output
    assert "  ok    memory: " in output
    assert "not looked at: there is no configuration" in " ".join(output.split())


def test_the_report_for_programs(made: Agent, say: Say) -> None:
    code, output, _ = say("--config", made.file, "--json")
    report = json.loads(output)
    assert (code, report["exit_code"], report["v"]) == (0, 0, 1)
    assert sum(report["counts"].values()) == len(report["findings"])
    for finding in report["findings"]:
        bad = finding["grade"] in ("warn", "fail")
        assert bool(finding["fix"]) or not bad, finding
        assert list(finding) == [
            *("part", "subject", "grade", "text", "fix", "exit_code", "figures"),
        ]


def test_one_source_alone(made: Agent, say: Say) -> None:
    values = yaml.safe_load(made.file.read_text())
    values["sources"].append(values["sources"][0] | {"name": "fan"})
    made.file.write_text(yaml.safe_dump(values))
    _, output, _ = say("--config", made.file, "--source", "fan")
    assert "\nsource fan\n" in output
    assert "\nsource pump\n" not in output
    assert "2 sources take" in output
    code, output, _ = say("--config", made.file, "--source", "none")
    assert code == 2
    assert "--source none: no such source; there are pump, fan" in output


@pytest.mark.parametrize("seconds", ["0", "0.9", "601", "nan", "x"])
def test_seconds_that_cannot_be(
    made: Agent, seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--config", str(made.file), "--seconds", seconds])
    assert ended.value.code == 2
    assert "--seconds" in capsys.readouterr().err


@pytest.mark.broker
def test_a_running_agent_is_left_alone(made: Agent, say: Say, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        values = yaml.safe_load(made.file.read_text())
        values["mqtt"] = {"host": "localhost", "port": broker.port, "tls": False}
        made.file.write_text(yaml.safe_dump(values))
        state = made.folder / "state"
        state.mkdir()
        held = alone.hold(state)
        _, beside, _ = say("--config", made.file)
        _, thrown_out, _ = say("--config", made.file, "--disturb")
        assert held is not None
        os.close(held)
    assert "  ok    agent: runs" in beside
    assert "measured beside the running agent" in " ".join(beside.split())
    assert "  skip  login, reading, delivery, publishing: not tried: the" in beside
    assert "--disturb" in beside
    assert "  ok    delivery: " in thrown_out


def test_the_file_for_support(made: Agent, say: Say) -> None:
    know(made, made.folder / "bundle")
    coverage = made.folder / "state" / "coverage"
    coverage.mkdir()
    (coverage / "2026-11-21.json").write_text('{"v": 1}')
    (coverage / "other.txt").write_text("not taken")
    path = made.folder / "support.zip"
    code, _, errors = say("--config", made.file, "--bundle", path)
    assert (code, errors) == (0, f"written: {path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        texts = {n: archive.read(n).decode() for n in archive.namelist()}
    assert list(texts) == [*MEMBERS[:-1], "state/coverage/2026-11-21.json", MEMBERS[-1]]
    assert json.loads(texts["report.json"])["exit_code"] == 0
    assert "  ok    recording: 1 recording" in texts["report.txt"]
    config = yaml.safe_load(texts["configuration.yaml"])
    assert config["alarm"]["raise"] == {"k": 2, "n": 3}
    assert config["sources"][0]["recording"] == str(made.tape)
    assert "numpy " in texts["packages.txt"]
    assert "sites/pump/forged-1.safetensors" in texts["state/files.txt"]
    assert "cannot be read: No such file" in texts["state/bundles.json"]


def test_a_file_is_not_written_over(made: Agent, say: Say) -> None:
    path = made.folder / "support.zip"
    path.write_text("mine")
    code, output, errors = say("--config", made.file, "--bundle", path)
    assert (code, output) == (2, "")
    assert errors == (
        f"--bundle {path}: is there already; name another file, or say --force\n"
    )
    assert path.read_text() == "mine"
    code, _, _ = say("--config", made.file, "--bundle", path, "--force")
    assert code == 0
    assert zipfile.is_zipfile(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(made.folder.glob(".support-*"))


def test_a_link_is_not_followed(made: Agent, tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link.zip"
    victim.write_text("mine")
    link.symlink_to(victim)
    with pytest.raises(ConfigError, match="is there already"):
        support.check(link, force=False)
    with pytest.raises(ConfigError, match="is there already"):
        support.write(link, {"a": "b"}, force=False)
    support.write(link, {"a": "b"}, force=True)
    assert victim.read_text() == "mine"
    assert not link.is_symlink()


@pytest.mark.parametrize("name", ["none/a.zip", "file/a.zip"])
def test_a_place_that_cannot_be_written(
    made: Agent, say: Say, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()
    code, output, errors = say("--config", made.file, "--bundle", tmp_path / name)
    assert (code, output) == (2, "")
    assert "there is no such folder" in errors


def test_a_full_disk_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for force in (False, True):
        with pytest.raises(ConfigError, match="No space left"):
            support.write(tmp_path / "a.zip", {"a": "b"}, force=force)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_bounded() -> None:
    long = "".join(f"line {n} of many\n" for n in range(200_000))
    raw = support.packed(
        {f"{n}.txt": long for n in range(9)} | {"last.txt": "x" * 2000}
    )
    assert len(raw) < support.MAX_BYTES
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        sizes = [entry.file_size for entry in archive.infolist()]
        first = archive.read("0.txt").decode()
    assert max(sizes) == support.MAX_MEMBER_BYTES
    assert sum(sizes) <= support.MAX_BYTES
    assert first.startswith(support.CUT)
    assert first.endswith("line 199999 of many\n")


@dataclass(frozen=True)
class Planted:
    """A device on which secrets lie wherever something is read."""

    config: Path
    secrets: tuple[str, ...]
    environment: dict[str, str]


def plant(made: Agent) -> Planted:
    """Put a secret into every file that is read, and some that are not."""
    folder = made.folder
    (folder / "password").write_text("hunter2 in file\nsecond line of it\n")
    ca = authority(folder / "tls")
    device = signed(ca, folder / "tls", "press-07")
    key_lines = [x for x in device.key.read_text().splitlines() if "-----" not in x]
    know(made, folder / "bundle")
    state = folder / "state"
    (state / "clips").mkdir()
    (state / "clips" / "hunter2 in file.flac").touch()
    (state / "coverage").mkdir()
    (state / "coverage" / "2026-11-21.json").write_text('{"api_key": "planted-state"}')
    (state / "bundles").mkdir()
    rejected = {"pump-9": "second line of it", "pump-8": "token=planted-reason"}
    values = {"v": 1, "current": "", "rejected": rejected}
    (state / "bundles" / "state.json").write_text(json.dumps(values))
    values = yaml.safe_load(made.file.read_text())
    values["sources"].append(
        {
            "name": "cam",
            "recording": "rtsp://eve:planted url@cam.plant/a?token=planted-q",
        }
    )
    values["mqtt"] = {
        "host": "localhost",
        "port": free_port(),
        "username": "press-07",
        "password_file": str(folder / "password"),
        "tls": {"ca": str(ca.file), "cert": str(device.cert), "key": str(device.key)},
    }
    comment = "# the old password: planted-comment\n"
    made.file.write_text(comment + yaml.safe_dump(values, width=10_000))
    programs = folder / "bin"
    programs.mkdir()
    journal = programs / "journalctl"
    journal.write_text(
        "#!/bin/sh\necho 'connecting with hunter2 in file to rtsp://a:planted-log@b'\n"
        "echo 'MQTT_TOKEN=planted-token'\necho '-----BEGIN PRIVATE KEY-----'\n"
        f"echo '{key_lines[0]}'\necho planted-env >&2\n"
    )
    journal.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "MQTT_PASSWORD": "planted-env",
        "PYTHONPATH": str(Path(dossier.__file__).parents[2]),
    }
    secrets = (
        *("hunter2 in file", "second line of it", "planted url", "planted-q"),
        *("planted-state", "planted-reason", "planted-comment", "planted-log"),
        *("planted-token", "planted-env", *key_lines),
    )
    return Planted(made.file, secrets, environment)


def test_no_secret_leaves_the_device(made: Agent) -> None:
    planted = plant(made)
    path = made.folder / "support.zip"
    printed = []
    for words in ((), ("--json",)):
        command = (sys.executable, "-m", "asd_agent", "--verbose", "doctor", *words)
        done = subprocess.run(
            (*command, "--config", planted.config, "--bundle", path, "--force"),
            env=planted.environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 3, done.stdout.decode()
        printed += [done.stdout, done.stderr]
    with zipfile.ZipFile(path) as archive:
        texts = {n: archive.read(n) for n in archive.namelist()}
    shown = [*printed, *texts.values(), path.read_bytes()]
    for secret in planted.secrets:
        assert not any(secret.encode() in raw for raw in shown), secret
    # What they stood in is there.
    assert "clips/***.flac" in texts["state/files.txt"].decode()
    assert "rtsp:/***@cam.plant/a?token=***" in printed[0].decode().replace("\n", "")
    assert "connecting with *** to rtsp://***@b" in texts["journal.txt"].decode()
    assert "MQTT_TOKEN=***" in texts["journal.txt"].decode()
    assert '"pump-9": "***"' in texts["state/bundles.json"].decode()
    assert "state/coverage/2026-11-21.json" in texts


BROKEN = {
    "wrong key": "mqtt: {host: a, password: planted-inline}\n",
    "secret in a number": "mqtt: {host: a, port: rtsp://eve:planted-inline@b}\n",
    "no YAML": "mqtt: {host: a, password: planted-inline\nsources: ]\n",
    "a tag": "device: !planted-inline x\nsecret: planted-inline\n",
    "several lines": "mqtt:\n  password: |\n    planted-inline\n    planted-inline\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_keeps_its_secrets(
    made: Agent, say: Say, name: str
) -> None:
    made.file.write_text(f"device: press-07\n{BROKEN[name]}")
    path = made.folder / "support.zip"
    code, output, errors = say("--config", made.file, "--bundle", path)
    assert code == 2
    with zipfile.ZipFile(path) as archive:
        texts = [archive.read(n).decode() for n in archive.namelist()]
        config = archive.read("configuration.yaml").decode()
    for text in (output, errors, *texts):
        assert "planted-inline" not in text
    assert "device: ***\n" in config


def test_the_log_of_the_command_is_scrubbed() -> None:
    scrub, stream = Scrubber({}), io.StringIO()
    scrub.learn(["planted"])
    root, handler = logging.getLogger(), logging.StreamHandler(stream)
    root.addHandler(handler)
    level = root.level
    try:
        with command.quiet_log(scrub, verbose=True):
            logging.getLogger("asd_agent.x").error("it is %s", "planted")
        with command.quiet_log(scrub, verbose=False):
            logging.getLogger("asd_agent.x").error("not told")
        logging.getLogger("asd_agent.x").error("told again")
    finally:
        root.removeHandler(handler)
    assert stream.getvalue() == "it is ***\ntold again\n"
    assert root.level == level
    assert handler.filters == []


def test_a_program_that_is_missing_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dossier.run(("no-such-program",)) == "no-such-program is not installed\n"
    assert dossier.run(("echo", "a", "b")) == "a b\n"
    monkeypatch.setattr(dossier, "JOURNAL_S", 0.1)
    assert dossier.run(("sleep", "9")) == "sleep: TimeoutExpired\n"


def test_the_kernel_is_read_from_a_folder(tmp_path: Path) -> None:
    cards = tmp_path / "proc/asound/cards"
    cards.parent.mkdir(parents=True)
    cards.write_text(" 1 [Device ]: USB-Audio - USB PnP Sound Device\n")
    (tmp_path / "proc/uptime").write_text("12345.67 1.0\n")
    texts = dossier.dossier(
        Report(str(tmp_path / "none.yaml"), NOW, ()),
        None,
        Scrubber({}),
        root=tmp_path,
        say=lambda command: f"{' '.join(command)}\n",
    )
    assert "USB PnP Sound Device" in texts["sound_cards.txt"]
    assert "12345.67" in texts["machine.txt"]
    assert texts["journal.txt"].startswith("journalctl -u asd-agent -n 500")
    assert not [name for name in texts if name.startswith("state/")]
