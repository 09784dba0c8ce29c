"""How long to wait before the next attempt to connect. No clock, no I/O."""

import random
from collections.abc import Callable
from dataclasses import dataclass

MAX_DELAY_S = 60.0
"""Most seconds between two attempts to connect"""
STEADY_S = 30.0
"""A connection that lasts so many seconds makes the next attempt a quick one"""
RIVAL_S = 30.0
"""Least seconds to leave the broker to another client of our name"""
THROWN_OFF = 4
"""So many connections in a row that the broker ends within `STEADY_S` are no chance"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt to connect, or the connection, came to its end."""

    lasted_s: float | None
    """Seconds since the broker accepted us; None: it did not"""
    taken_over: bool = False
    """Whether the broker said that another client took our place"""
    hung_up: bool = False
    """Whether the broker ended it and did not say why"""


class Patience:
    """Counts how attempts end, and says how long to wait."""

    def __init__(
        self, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.taken_over = 0
        """Times that another client of our name took our place, or so it seems"""
        self._uniform = uniform
        self._failures = 0
        self._thrown_off = 0

    def delay_s(self, ended: Ended) -> float:
        """Seconds to wait now.

        They are random, from 0 on, so that a plant does not come back in one moment;
        after a rival took our place they are more, or two would fight for ever.
        """
        steady = ended.lasted_s is not None and ended.lasted_s >= STEADY_S
        self._failures = 0 if steady else self._failures + 1
        accepted = ended.lasted_s is not None
        short = accepted and not steady and ended.hung_up
        self._thrown_off = self._thrown_off + 1 if short else 0
        if ended.taken_over or self._thrown_off >= THROWN_OFF:
            self.taken_over += 1
            return RIVAL_S + self._uniform(0.0, RIVAL_S)
        return self._uniform(0.0, min(MAX_DELAY_S, 2.0 ** min(self._failures, 6)))
