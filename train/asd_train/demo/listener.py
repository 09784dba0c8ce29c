"""A subscriber that hands over what the agent publishes."""

import json
import queue
from types import TracebackType
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

Message = tuple[str, Any]
"""Last level of the topic, and the content"""


class Listener:
    """Subscribes to everything of one device. A context manager."""

    def __init__(self, port: int, device: str) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id="asd-demo-view",
            protocol=paho.MQTTv311,
        )
        topic = f"factory/{device}/#"
        self._client.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self._client.on_message = self._keep
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> "Listener":
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def take(self, timeout_s: float) -> list[Message]:
        """Every message so far; wait up to `timeout_s` for the first."""
        try:
            messages = [self._messages.get(timeout=timeout_s)]
        except queue.Empty:
            return []
        while not self._messages.empty():
            messages.append(self._messages.get())
        return messages

    def _keep(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        kind = message.topic.rsplit("/", 1)[-1]
        text = message.payload.decode()
        self._messages.put((kind, text if kind == "status" else json.loads(text)))
