"""An MQTT broker in a thread, on the loopback interface, for as long as it is used."""

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from types import TracebackType

from amqtt.broker import Broker

START_S = 10.0
"""Seconds until the broker must listen"""


class _Broker(Broker):  # type: ignore[misc]  # amqtt ships no types
    """Closes every connection, also those whose CONNECT amqtt could not read."""

    async def stream_connected(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        listener_name: str,
    ) -> None:
        try:
            # Who is still connecting at the end is cancelled, of which asyncio up to
            # Python 3.11 prints a trace.
            with suppress(asyncio.CancelledError):
                await super().stream_connected(reader, writer, listener_name)
        finally:
            writer.close()


class EmbeddedBroker:
    """amqtt on a free port, open to every program of this machine: for trying out.

    A context manager. It speaks MQTT 3.1.1, keeps nothing on disk and never
    listens outside the loopback interface.
    """

    def __init__(self) -> None:
        self.port = _free_port()
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._log = logging.getLogger("amqtt")
        self._level = self._log.level

    def __enter__(self) -> "EmbeddedBroker":
        # It warns of every client that offers MQTT 5 first, as the agent does.
        self._log.setLevel(logging.ERROR)
        self._thread.start()
        if not self._ready.wait(START_S) or self._failure is not None:
            raise RuntimeError(f"the broker did not start: {self._failure}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_S)
        self._log.setLevel(self._level)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # told to the thread that waits in __enter__
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}
        anybody = "amqtt.plugins.authentication.AnonymousAuthPlugin"
        broker = _Broker(
            {
                "listeners": {"default": listener},
                "plugins": {anybody: {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._ready.set()
        await self._stop.wait()
        await broker.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
