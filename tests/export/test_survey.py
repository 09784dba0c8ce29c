"""The command `fleet`: who is there, for people and for programs, and tidying up."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asd_agent.mqtt.topics import Topics
from asd_agent.update.desired import Desired, encode
from asd_export import cli, link
from asd_export.broker import access
from asd_export.link import Link
from support.broker import Mosquitto, Subscriber
from support.bundles import forge
from support.devices import Device, Herd

pytestmark = pytest.mark.broker
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SETTLE_S", 0.02)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as found:
        yield found


def where(broker: Mosquitto) -> list[str]:
    return ["--host", "127.0.0.1", "--port", str(broker.port), "--insecure"]


def publish(broker: Mosquitto, **messages: bytes) -> None:
    """Retain messages, by topic below the root; `__` stands for a slash."""
    at = {"host": "127.0.0.1", "port": broker.port, "insecure": True}
    own = Link(access(at), lambda *_: None)
    for topic, body in messages.items():
        own.publish("factory/" + topic.replace("__", "/").replace("_7", "-07"), body)
    own.flush()
    own.close()


def wish(folder: Path, name: str) -> bytes:
    raw = (forge(folder / name, id=name, version=3) / "manifest.json").read_bytes()
    return encode(Desired(raw, b""))


def fleet(broker: Mosquitto, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """Run the command; what it wrote, as data with --json."""
    assert cli.main(["fleet", *words, *where(broker)]) == 0
    out = capsys.readouterr().out
    return json.loads(out) if "--json" in words else out


def test_everything_that_devices_tell_is_there(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Device("press-07", broker.port, groups=("line-3",), does="trial")
    with Herd(Device("off", broker.port)), Subscriber(broker.port) as looker:
        looker.wait("factory/off/status")
    publish(broker, press_7__bundle__desired=wish(tmp_path, "pump-3"))
    with Herd(here) as herd, Subscriber(broker.port) as looker:
        looker.wait("factory/press-07/bundle/state")
        # Its files are nowhere, so it waits for them.
        herd.do(lambda: here.alarm("gearbox", "e-1"))
        looker.wait("factory/press-07/gearbox/state")
        rows = fleet(broker, capsys, "--json")["devices"]
        shown = fleet(broker, capsys)
    off, on = rows
    assert (off["device"], off["online"], off["desired"]) == ("off", False, None)
    assert on["online"] is True
    assert on["groups"] == ["line-3"]
    assert on["running"] == {"id": "default-3", "version": 1}
    assert on["desired"] == {"id": "pump-3", "version": 3}
    assert (on["state"], on["step"]) == ("downloading", "fetch")
    assert on["alarms"] == ["gearbox"]
    line = next(line for line in shown.splitlines() if line.startswith("press-07"))
    for words in ("line-3", "online", "default-3 (1)", "pump-3", "downloading"):
        assert words in line


def test_what_cannot_be_read_is_told_and_the_rest_shown(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(broker, a__status=b"online", a__info=b"\x1b[2J{", b__status=b"offline")
    assert cli.main(["fleet", *where(broker)]) == 0
    out, err = capsys.readouterr()
    assert {line.split()[0] for line in out.splitlines()[1:]} == {"a", "b"}
    assert "factory/a/info was left out" in err
    assert "\x1b" not in out + err


def test_an_empty_plant_says_so(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fleet", *where(broker), "--root", "other"]) == 0
    assert "no device has ever said" in capsys.readouterr().err
    assert fleet(broker, capsys, "--json") == {"devices": [], "unreadable": {}}


def test_a_large_plant_is_shown_whole(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = wish(tmp_path, "pump-3")
    names = [f"d{i}" for i in range(1500)]
    publish(broker, **{f"{name}__status": b"online" for name in names})
    publish(broker, **{f"{name}__bundle__desired": body for name in names[::10]})
    rows = fleet(broker, capsys, "--json")["devices"]
    assert {row["device"] for row in rows} == set(names)
    assert sum(row["desired"] is not None for row in rows) == 150


def test_watching_tells_changes_and_newcomers_until_it_is_ended(
    broker: Mosquitto,
) -> None:
    command = [sys.executable, "-m", "asd_export", "fleet", "--watch", "--json"]
    publish(broker, a__status=b"online")
    with subprocess.Popen(
        [*command, *where(broker)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'agent'}:{ROOT / 'export'}"},
    ) as running:
        assert running.stdout
        rows = map(json.loads, running.stdout)
        assert (first := next(rows))["device"] == "a"
        assert first["online"] is True
        publish(broker, a__status=b"offline")
        assert next(rows)["online"] is False
        with Herd(Device("b", broker.port)):
            # The newcomer is listened to from now on.
            assert any(row["device"] == "b" and row["running"] for row in rows)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate()
    assert running.returncode == 130
    assert err == "asd-export: stopped\n"


def test_pruning_takes_off_what_nobody_is_asked_to_run(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = wish(tmp_path, "pump-3"), forge(tmp_path / "old")
    root = Topics("factory", "none")
    contents = {
        (tmp_path / "pump-3" / "golden.safetensors").read_bytes(): True,
        (old / "manifest.json").read_bytes(): False,
        b"a file of long ago": False,
    }
    # One device was asked and was never there.
    publish(broker, a__status=b"online", ghost__bundle__desired=new)
    digests = {hashlib.sha256(c).hexdigest(): keep for c, keep in contents.items()}
    publish(
        broker,
        **{f"bundles__{hashlib.sha256(c).hexdigest()}": c for c in contents},
    )
    spare = {digest for digest, keep in digests.items() if not keep}
    out = fleet(broker, capsys, "--prune", "--dry-run")
    assert {line.split()[0] for line in out.splitlines()[:-1]} == spare
    assert out.splitlines()[-1].startswith("2 files would be taken off")
    out = fleet(broker, capsys, "--prune")
    assert out.splitlines()[-1].startswith("2 files taken off")
    out = fleet(broker, capsys, "--prune")
    assert out.splitlines()[-1] == "0 files taken off, 0 bytes; 1 are there"
    (kept,) = (digest for digest, keep in digests.items() if keep)
    with Subscriber(broker.port, "factory/bundles/#") as looker:
        assert looker.wait(root.member(kept))
        assert len(looker.messages) == 1


def test_pruning_stops_where_a_wish_cannot_be_read(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(broker, a__bundle__desired=b"nonsense", bundles__x=b"x")
    assert cli.main(["fleet", "--prune", *where(broker)]) == 2
    assert "factory/a/bundle/desired cannot be read" in capsys.readouterr().err
    with Subscriber(broker.port, "factory/bundles/#") as looker:
        assert looker.wait("factory/bundles/x")


@pytest.mark.parametrize("words", [["--prune", "--json"], ["--dry-run"]])
def test_what_does_not_go_together_is_told(
    broker: Mosquitto, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fleet", *words, *where(broker)]) == 2
    assert "goes with" in capsys.readouterr().err
