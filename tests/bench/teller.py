"""Publishes decisions as the service does, on the clock of the sound."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from asd_agent.config import MqttConfig
from asd_agent.health import clock_synced
from asd_agent.mqtt import payloads
from asd_agent.mqtt.clock import Anchor
from asd_agent.mqtt.publisher import Publisher
from asd_agent.scoring.decision import Decision
from support.broker import Mosquitto, wait_for

DEVICE, SOURCE = "bench", "machine"


class Teller:
    """One source's way to the broker."""

    def __init__(self, port: int, rate_hz: int) -> None:
        self._anchor = Anchor(datetime.now(timezone.utc), 0, rate_hz)
        self._heard_s = 0.0
        config = MqttConfig(host="127.0.0.1", port=port, tls=False)
        self._publisher = Publisher(config, DEVICE, {}, clock=lambda: self._heard_s)

    def tell(self, decision: Decision) -> None:
        """Publish one decision."""
        self._heard_s = decision.end_sample / self._anchor.rate_hz
        origin = payloads.Origin(
            device=DEVICE,
            source=SOURCE,
            boot_id="0" * 32,
            anchor=self._anchor,
            bundle_id="bench",
            bundle_version=1,
            clock_synced=clock_synced(),
        )
        payload = payloads.anomaly(decision, origin)
        self._publisher.decision(SOURCE, payload, decision.changed)
        spectrum = payloads.spectrum(decision, origin)
        if spectrum is not None:
            self._publisher.spectrum(SOURCE, spectrum)

    def start(self) -> None:
        """Connect."""
        self._publisher.start()
        wait_for(lambda: self._publisher.connected, "connection")

    def finish(self) -> None:
        """Wait until the broker has everything."""
        wait_for(lambda: not self._publisher.waiting, "acknowledgements")

    def close(self) -> None:
        """Disconnect."""
        self._publisher.close()


@contextmanager
def teller(rate_hz: int) -> Iterator[Teller]:
    """Run a broker and a connected teller."""
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder)) as broker:
        made = Teller(broker.port, rate_hz)
        made.start()
        try:
            yield made
        finally:
            made.close()
