"""The agent goes on where its disk is full, read-only, or gets either way."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_agent import cli
from asd_agent.errors import SiteError
from asd_agent.service import Service
from support.agents import RATE_HZ, Agent, agent
from support.broker import Mosquitto, Subscriber
from support.loop_disk import LoopDisk
from support.sounds import noise, wav

pytestmark = [pytest.mark.root, pytest.mark.broker]
DISK_BYTES = 4_194_304


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LoopDisk]:
    with LoopDisk(tmp_path, DISK_BYTES, journal=False) as disk:
        yield disk


@pytest.fixture
def made(tmp_path: Path, disk: LoopDisk) -> Agent:
    """An agent whose state folder is a disk of 4 MB."""
    folder = tmp_path / "agent"
    folder.mkdir()
    (folder / "state").symlink_to(disk.root)
    return agent(folder)


def run(made: Agent, broker: Mosquitto) -> list[str]:
    """Run the agent to the end of its recording; the states that it told."""
    text = made.file.read_text()
    made.file.write_text(
        f"{text}mqtt: {{host: 127.0.0.1, port: {broker.port}, tls: false, "
        "interval_s: 0.1}\n"
    )
    with Subscriber(broker.port, "factory/+/+/state") as subscriber:
        Service(made.config()).run()
        topic = "factory/press-07/pump/state"
        subscriber.wait(topic)
        return [message.json()["state"] for message in subscriber.of(topic)]


@pytest.mark.parametrize("sick", ["full", "read-only"])
def test_a_machine_that_is_known_is_judged(
    made: Agent, disk: LoopDisk, sick: str, tmp_path: Path
) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.25})
    Service(made.config()).run()
    made.configure()
    if sick == "full":
        disk.fill()
    else:
        disk.remount("ro")
    before = sorted(path.name for path in disk.root.rglob("*"))
    with Mosquitto(tmp_path) as broker:
        states = run(made, broker)
    assert states[-1] == "anomalous"
    assert sorted(path.name for path in disk.root.rglob("*.partial")) == []
    if sick == "read-only":
        assert sorted(path.name for path in disk.root.rglob("*")) == before


def test_a_full_disk_does_not_begin_the_learning_again(
    made: Agent, disk: LoopDisk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else it would learn for ever, and never judge."""
    sound = wav(made.folder / "long.wav", noise(40 * RATE_HZ, seed=5), RATE_HZ)
    made.configure(recording=str(sound), learn={"minutes": 0.25, "keep_bytes": 0})
    disk.fill()
    with Mosquitto(tmp_path) as broker:
        states = run(made, broker)
    assert states[-1] == "normal"
    assert "holds until the agent ends" in caplog.text
    assert not made.site.exists()


def test_a_folder_of_somebody_else_is_told_at_once(made: Agent, disk: LoopDisk) -> None:
    """That is no fault of the disk: a person must mend it."""
    (made.folder / "state").unlink()
    (made.folder / "state").write_text("a file")
    with pytest.raises(SiteError, match="Give this user the folder"):
        Service(made.config())


def test_check_tells_of_the_disk(
    made: Agent, disk: LoopDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    disk.remount("ro")
    assert cli.main(["check", "--config", str(made.file)]) == 5
    assert "Read-only file system" in capsys.readouterr().err


def test_two_agents_do_not_share_a_folder(made: Agent) -> None:
    first = Service(made.config())
    with pytest.raises(SiteError, match="another agent runs here"):
        Service(made.config())
    first.run()
    Service(made.config()).run()


def test_the_ledger_is_there_after_a_restart(made: Agent, disk: LoopDisk) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.25})
    for times in (1, 2):
        Service(made.config()).run()
        (file,) = (disk.root / "coverage").glob("*.json")
        samples = json.loads(file.read_text())["sources"]["pump"]["samples"]
        counted = sum(sum(reasons.values()) for reasons in samples.values())
        assert counted == times * 30 * RATE_HZ
        os.sync()
