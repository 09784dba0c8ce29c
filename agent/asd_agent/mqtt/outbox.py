"""Messages that wait for the broker: bounded, in order, the oldest given up first."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from asd_agent.mqtt.queue import MAX_ROWS, Queue
from asd_agent.mqtt.row import Row, encoded


class Outbox(Protocol):
    """A store of rows. The publisher calls it from one thread at a time."""

    @property
    def dropped(self) -> int:
        """Rows given up: the store was full, or they were too old."""
        ...

    @property
    def undurable(self) -> int:
        """Changes of state that were handed over before a disk held them."""
        ...

    def __len__(self) -> int:
        """Rows that are not acknowledged."""
        ...

    def start(self, ring: Callable[[], None]) -> None:
        """Begin to work; `ring` is called when there may be more to take."""
        ...

    def put(self, payload: Mapping[str, Any], *, changed: bool, late: bool) -> None:
        """Keep a message, without waiting for a disk and without an error.

        A full store gives up its oldest, scores before changes.
        """
        ...

    def take(self) -> list[Row]:
        """Rows to hand over now, oldest first, so that `WINDOW` is kept."""
        ...

    def done(self, key: int) -> None:
        """Forget a row that the broker has acknowledged."""
        ...

    def rewind(self) -> None:
        """Hand everything over again, marked late: the link is lost."""
        ...

    def close(self) -> None:
        """End the work; what can outlive the process is kept."""
        ...


class MemoryOutbox:
    """An outbox that lives as long as the process."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._queue = Queue(max_rows)

    @property
    def dropped(self) -> int:
        """Rows given up because the store was full."""
        return self._queue.dropped

    @property
    def undurable(self) -> int:
        """Changes of state that were handed over: none was ever on a disk."""
        return self._queue.undurable

    def __len__(self) -> int:
        return len(self._queue)

    def start(self, ring: Callable[[], None]) -> None:
        """Nothing has to be begun."""

    def put(self, payload: Mapping[str, Any], *, changed: bool, late: bool) -> None:
        """Keep a message; a full store gives up its oldest, scores before changes."""
        body = encoded(payload)
        if body is None:
            self._queue.dropped += 1
        else:
            self._queue.put(body, changed=changed, late=late, at_s=0.0)

    def take(self) -> list[Row]:
        """Rows to hand over now, oldest first, so that `WINDOW` is kept."""
        return self._queue.take(disk=False)

    def done(self, key: int) -> None:
        """Forget a row; one that was given up meanwhile is no error."""
        self._queue.done(key)

    def rewind(self) -> None:
        """Hand everything over again, marked late: the link is lost."""
        self._queue.rewind()

    def close(self) -> None:
        """Nothing outlives the process."""
