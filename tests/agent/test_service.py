"""The running agent as systemd sees it: a process that is told to end."""

import io
import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from asd_agent import service as module
from asd_agent import worker as worker_module
from asd_agent.capture.chunk import Source
from asd_agent.config import MqttConfig, SourceConfig
from asd_agent.errors import BundleError, SiteError, SoundError
from asd_agent.health import clock_synced, rss_bytes
from asd_agent.mqtt.inbox import Inbox
from asd_agent.mqtt.outbox import Outbox
from asd_agent.mqtt.payloads import Payload
from asd_agent.replay import replay
from asd_agent.service import Service
from support.agents import RATE_HZ, Agent, agent
from support.sounds import noise, wav


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    return agent(tmp_path)


def start(made: Agent) -> "subprocess.Popen[str]":
    """Run the agent in a process of its own, up to `ready`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "asd_agent", "--config", made.file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith("INFO ready\n"):
            return process
    raise AssertionError(f"ended with {process.wait()}")


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(module.__file__).parents[1]),
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(made: Agent, number: signal.Signals) -> None:
    made.configure(recording=str(made.normal), loop=True, pace="realtime")
    process = start(made)
    try:
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_recordings_are_learnt_judged_and_done(
    made: Agent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made.configure(recording=str(made.normal), learn={"minutes": 0.25})
    Service(made.config()).run()
    messages = [record.getMessage() for record in caplog.records]
    assert (
        "pump: nothing learnt yet; the first 0.25 min are taken as normal" in messages
    )
    assert messages.count("pump: normal") == 1
    made.configure()
    caplog.clear()
    Service(made.config()).run()
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "pump: anomalous"
    ]


def test_several_sources_each_have_their_own(made: Agent) -> None:
    text = made.file.read_text()
    more = wav(made.folder / "fan.wav", noise(10 * RATE_HZ, seed=4), RATE_HZ)
    made.file.write_text(
        text.replace(
            "sources:\n",
            f"sources:\n- {{name: fan, recording: {more}, pace: fast}}\n",
        )
    )
    Service(made.config()).run()
    assert made.site.exists()
    assert made.site.parents[1].joinpath("fan", "forged-1.safetensors").exists()


def test_an_error_of_a_worker_ends_the_service(made: Agent) -> None:
    made.tape.write_bytes(b"not sound")
    with pytest.raises(SoundError, match=r"tape\.wav"):
        Service(made.config()).run()


def test_a_missing_microphone_does_not_end_the_service(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def missing(_: SourceConfig) -> Source:
        tried.set()
        raise SoundError("mic: is not there")

    monkeypatch.setattr(worker_module, "open_source", missing)
    made.configure(recording=None, pace=None, microphone="mic")
    service = Service(made.config())
    thread = threading.Thread(target=service.run)
    thread.start()
    assert tried.wait(5)
    thread.join(0.5)
    assert thread.is_alive()
    service.stop()
    thread.join(5)
    assert not thread.is_alive()


def test_all_is_checked_before_anything_is_heard(made: Agent) -> None:
    (made.folder / "state").write_text("a file, not a folder")
    with pytest.raises(SiteError, match="state_dir"):
        Service(made.config())
    (made.folder / "state").unlink()
    (made.folder / "bundle" / "golden.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match=r"golden\.safetensors"):
        Service(made.config())


def test_memory_and_clock_can_be_told(tmp_path: Path) -> None:
    assert 1_000_000 < rss_bytes() < 10**11
    statm = tmp_path / "statm"
    statm.write_text("100 3 2 1 0 0 0\n")
    assert rss_bytes(statm) % 3 == 0
    assert clock_synced() in (True, False)


class Collector:
    """Stands for the publisher: keeps what it is given."""

    def __init__(
        self, config: MqttConfig, device: str, info: Payload, *, outbox: Outbox
    ) -> None:
        self.config, self.device, self.info = config, device, info
        self.outbox = outbox
        self.told: dict[str, Payload] = {}
        self.decisions: list[tuple[str, Payload, bool]] = []
        self.spectra: list[Payload] = []
        self.calls: list[str] = []
        self.connected = True
        self.dropped = self.waiting = self.refused = self.undurable = 0
        self.unheard = self.taken_over = self.reconnects = 0
        self.start = lambda: self.calls.append("start")
        self.close = lambda: self.calls.append("close")
        self.inbox = Inbox()

    def health(self, payload: Payload) -> None:
        self.told["health"] = payload

    def tell(self, topic: str, payload: Payload) -> None:
        self.told[topic] = payload

    def decision(self, source: str, payload: Payload, changed: bool) -> None:
        self.decisions.append((source, dict(payload), changed))

    def spectrum(self, source: str, payload: Payload) -> None:
        assert source == "pump"
        self.spectra.append(payload)


def test_every_decision_goes_to_the_publisher(
    made: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.configure(recording=str(made.normal), learn={"minutes": 0.2})
    Service(made.config()).run()
    made.configure()
    with made.file.open("a") as file:
        file.write("mqtt: {host: localhost, tls: false}\n")
    collectors: list[Collector] = []

    def collect(*args: Any, **options: Any) -> Collector:
        collectors.append(Collector(*args, **options))
        return collectors[-1]

    monkeypatch.setattr(module, "Publisher", collect)
    config = made.config()
    service = Service(config)
    service.run()
    (found,) = collectors
    assert found.calls == ["start", "close"]
    assert (found.device, found.info["bundle"]["id"]) == ("press-07", "forged-1")
    service._tell_health()
    (health,) = found.told["health"]["sources"]
    assert (health["name"], health["state"]) == ("pump", "anomalous")
    (day,) = found.told["factory/press-07/pump/coverage"]["days"]
    assert day["scored_s"] > 5
    assert day["gap_s"] < 0.5
    expected = list(
        replay(
            config,
            config.sources[0],
            [str(made.tape)],
            per_file=False,
            screen=io.StringIO(),
        )
    )
    assert len(found.decisions) == len(found.spectra) == len(expected)
    for (source, payload, changed), record in zip(
        found.decisions, expected, strict=True
    ):
        assert isinstance(record, dict)
        assert source == "pump"
        assert payload["state"] == record["state"]
        assert changed == record["changed"]
        assert payload["score"] == pytest.approx(record["score"], abs=1e-6)
    assert {payload["state"] for _, payload, _ in found.decisions} == {
        "learning",
        "normal",
        "anomalous",
    }
