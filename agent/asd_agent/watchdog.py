"""Whether every source is got on with; who watches the agent is told of nothing else.

A thread that did nothing but feed a watchdog would go on feeding it while the agent is
deaf. So the watchdog is fed when each source's own thread has taken sound and judged
it, or has found that there is none and tried again.
"""

import time
from collections.abc import Callable, Sequence

from asd_agent.notify import Notifier
from asd_agent.worker import Worker

STALL_S = 18.0
"""Seconds without getting on after which a source's thread hangs"""
FINISH_S = 900.0
"""The same while what was learnt is summed up, which may take long"""
FEED_S = 5.0
"""Most seconds between two signs of life, where all is well"""


class Watchdog:
    """Feeds whoever watches the agent.

    Parameters
    ----------
    notifier
        Tells systemd, or the container.
    workers
        All sources.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        notifier: Notifier,
        workers: Sequence[Worker],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._workers = workers
        self._clock = clock
        self._beats: dict[str, tuple[int, float]] = {}
        self._fed: dict[str, int] = {}
        self._due_s = 0.0

    def look(self) -> list[str]:
        """Feed the watchdog if all have got on; name the sources that hang."""
        now_s = self._clock()
        alive = [worker for worker in self._workers if worker.is_alive()]
        for worker in alive:
            beats, _ = self._beats.get(worker.source.name, (-1, 0.0))
            if worker.beats != beats:
                self._beats[worker.source.name] = worker.beats, now_s
        on = all(self._fed.get(w.source.name) != w.beats or w.finishing for w in alive)
        if on and now_s >= self._due_s:
            self._fed = {worker.source.name: worker.beats for worker in alive}
            self._due_s = now_s + FEED_S
            self._notifier.alive()
        return [w.source.name for w in alive if self._hangs(w, now_s)]

    def _hangs(self, worker: Worker, now_s: float) -> bool:
        _, since_s = self._beats[worker.source.name]
        return now_s - since_s > (FINISH_S if worker.finishing else STALL_S)
