"""Counts the CPU time of the stages of a running path, each without its inner ones."""

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Meter:
    """CPU seconds of this thread by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner_s = 0.0

    def run(self, stage: str, call: Callable[..., T], *args: Any) -> T:
        """Call, and count the time that no stage within it counts."""
        outer_s, self._inner_s = self._inner_s, 0.0
        began_s = time.thread_time()
        try:
            return call(*args)
        finally:
            took_s = time.thread_time() - began_s
            own_s = took_s - self._inner_s
            self.seconds[stage] = self.seconds.get(stage, 0.0) + own_s
            self._inner_s = outer_s + took_s

    def each(self, stage: str, items: Iterator[T]) -> Iterator[T]:
        """Count what an iterator needs for each of its items."""
        end = object()
        while True:
            item = self.run(stage, next, items, end)
            if item is end:
                return
            yield item

    def watch(self, thing: Any, **stages: str) -> Any:
        """Stand in for `thing`; calls of its methods named here are counted."""
        return _Watched(self, thing, stages)


class _Watched:
    def __init__(self, meter: Meter, thing: Any, stages: dict[str, str]) -> None:
        self._meter, self._thing, self._stages = meter, thing, stages

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._thing, name)
        if name not in self._stages:
            return found
        return lambda *args: self._meter.run(self._stages[name], found, *args)
