"""Whoever asked first is next."""

import threading
import time

import numpy as np
from numpy.typing import NDArray

from asd_agent.inference.embedder import ModelFile
from asd_agent.inference.turns import Shared, Turns

Array = NDArray[np.float32]


class Slow:
    """A network that notes who uses it, and complains of company."""

    model = ModelFile(file="m.onnx", runtime="onnx", precision="int8")
    library = "slow 1"

    def __init__(self) -> None:
        self.users: list[int] = []
        self._busy = threading.Lock()

    def embed(self, unit: Array) -> Array:
        assert self._busy.acquire(blocking=False), "two at once"
        self.users.append(int(unit[0, 0]))
        time.sleep(0.002)
        self._busy.release()
        found: Array = unit[0]
        return found


def test_a_greedy_thread_starves_nobody() -> None:
    network = Slow()
    shared = Shared(network, Turns())
    assert (shared.model, shared.library) == (network.model, "slow 1")
    ended = threading.Event()

    def use(name: int) -> None:
        unit = np.full((1, 1), name, np.float32)
        while not ended.is_set():
            assert shared.embed(unit)[0] == name

    threads = [threading.Thread(target=use, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    ended.set()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    counts = [network.users.count(name) for name in range(4)]
    assert min(counts) > 10
    assert max(counts) - min(counts) <= 3


def test_a_turn_ends_with_an_error() -> None:
    turns = Turns()
    for _ in range(2):
        try:
            with turns.turn():
                raise ZeroDivisionError
        except ZeroDivisionError:
            continue
    with turns.turn():
        pass
