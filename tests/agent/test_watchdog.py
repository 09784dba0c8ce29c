"""The watchdog is fed when every source was got on with, and by nothing else."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from asd_agent.notify import Notifier
from asd_agent.watchdog import FEED_S, FINISH_S, STALL_S, Watchdog
from asd_agent.worker import Worker


@dataclass
class Source:
    name: str


@dataclass
class Thread:
    """As much of a worker as is looked at."""

    source: Source
    beats: int = 0
    finishing: bool = False
    alive: bool = True

    def is_alive(self) -> bool:
        return self.alive


class Collector(Notifier):
    """Counts the signs of life."""

    def __init__(self) -> None:
        super().__init__({})
        self.signs = 0

    def alive(self) -> None:
        self.signs += 1


@dataclass
class Plant:
    """Two sources, a clock and a watchdog."""

    pump: Thread = field(default_factory=lambda: Thread(Source("pump")))
    fan: Thread = field(default_factory=lambda: Thread(Source("fan")))
    now_s: float = 100.0

    def __post_init__(self) -> None:
        self.told = Collector()
        workers = [cast(Worker, self.pump), cast(Worker, self.fan)]
        self.dog = Watchdog(self.told, workers, lambda: self.now_s)

    def live(self, seconds: float, *threads: Thread) -> list[str]:
        """Let some of the threads get on for a while; who hangs in the end."""
        hanging: list[str] = []
        for _ in range(round(seconds)):
            self.now_s += 1.0
            for thread in threads:
                thread.beats += 1
            hanging = self.dog.look()
        return hanging


@pytest.fixture
def plant() -> Plant:
    return Plant()


def test_it_is_fed_while_all_get_on(plant: Plant) -> None:
    assert plant.live(60, plant.pump, plant.fan) == []
    assert plant.told.signs == pytest.approx(60 / FEED_S, abs=1)


def test_one_that_stalls_starves_it(plant: Plant) -> None:
    plant.live(10, plant.pump, plant.fan)
    before = plant.told.signs
    assert plant.live(STALL_S - 1, plant.pump) == []
    assert plant.told.signs <= before + 1
    assert plant.live(3, plant.pump) == ["fan"]
    # It gets on again: all is well.
    assert plant.live(10, plant.pump, plant.fan) == []
    assert plant.told.signs > before + 1


def test_to_sum_up_what_was_learnt_may_take_long(plant: Plant) -> None:
    plant.live(10, plant.pump, plant.fan)
    plant.fan.finishing = True
    before = plant.told.signs
    assert plant.live(FINISH_S - 5, plant.pump) == []
    assert plant.told.signs > before + 100
    assert plant.live(10, plant.pump) == ["fan"]


def test_a_source_that_has_ended_is_not_waited_for(plant: Plant) -> None:
    plant.live(10, plant.pump, plant.fan)
    plant.fan.alive = False
    before = plant.told.signs
    assert plant.live(60, plant.pump) == []
    assert plant.told.signs > before + 10
