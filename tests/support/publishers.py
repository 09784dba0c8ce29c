"""A publisher of the agent for tests, and one who publishes to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt import publish

from asd_agent.config import MqttConfig
from asd_agent.mqtt.publisher import Publisher
from support.broker import wait_for


def plain(port: int, **keys: Any) -> MqttConfig:
    settings = {"host": "127.0.0.1", "port": port, "tls": False, "interval_s": 0.1}
    return MqttConfig.model_validate(settings | keys)


@contextmanager
def publishing(config: MqttConfig, **parts: Any) -> Iterator[Publisher]:
    """A started publisher that tries again at once and paces by nobody's clock."""
    quick = {"uniform": lambda low, high: min(high, 0.05)}
    publisher = Publisher(config, "press-07", {"v": 1}, **(quick | parts))
    try:
        publisher.start()
        yield publisher
    finally:
        publisher.close()


def connected(publisher: Publisher) -> None:
    wait_for(lambda: publisher.connected, "connected")


def put(
    port: int,
    topic: str,
    body: bytes,
    *,
    retain: bool = True,
    ca: Path | None = None,
) -> None:
    """Publish a message, by TLS if `ca` is given; the broker has it on return."""
    publish.single(
        topic,
        body,
        qos=1,
        retain=retain,
        hostname="localhost" if ca else "127.0.0.1",
        port=port,
        tls={"ca_certs": str(ca)} if ca else None,
    )
