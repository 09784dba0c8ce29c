"""Listens to a fleet for as long as it takes; a lost connection is made anew."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from asd_export.broker import Access
from asd_export.errors import LinkDown
from asd_export.link import Link, OnMessage

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to connect; the last one for ever"""

STEADY_S = 10.0
"""A connection that lasts so long makes the next attempt a quick one"""

Say = Callable[[str], None]
Value = TypeVar("Value")


def insist(
    act: Callable[[], Value], say: Say, *, pauses_s: Sequence[float] = PAUSES_S
) -> Value:
    """Do something that needs a connection; try again where that is lost.

    Raises
    ------
    BrokerError
        The broker refuses it, or there was no connection in all the attempts.
    """
    for pause_s in pauses_s:
        try:
            return act()
        except LinkDown as error:
            say(f"{error}; trying again in {pause_s:g} s")
            time.sleep(pause_s)
    return act()


class Monitor:
    """A connection that hears the same topics however often it is lost.

    Parameters
    ----------
    hear
        Called with topic and body of every message, again after each connect.
    say
        Called with a sentence when the connection is lost and when it is back.
    pauses_s
        Seconds between attempts to connect.
    """

    def __init__(
        self,
        access: Access,
        hear: OnMessage,
        say: Say,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._access = access
        self._hear = hear
        self._say = say
        self._pauses_s = pauses_s
        self._portions: list[Sequence[str]] = []
        self._link: Link | None = Link(access, hear)
        self._attempts = 0
        self._due_s = 0.0
        self._since_s = time.monotonic()

    def listen(self, portions: Sequence[Sequence[str]]) -> None:
        """Listen to more topics, and hear what is retained there.

        Raises
        ------
        BrokerError
            The broker does not let us, or the connection was lost.
        """
        self._portions += portions
        if self._link is not None:
            for portion in portions:
                self._link.subscribe(portion)
            self._link.settle()

    def pump(self, span_s: float) -> None:
        """Hear what comes for so long.

        Raises
        ------
        BrokerError
            The broker refuses us: waiting would not help.
        """
        end_s = time.monotonic() + span_s
        while (rest_s := end_s - time.monotonic()) > 0:
            if self._link is None:
                self._reconnect(rest_s)
                continue
            try:
                self._link.pump(rest_s)
            except LinkDown as error:
                steady = time.monotonic() - self._since_s >= STEADY_S
                self._attempts = 0 if steady else self._attempts
                # Two of one name throw each other out; not every broker says so.
                hint = f". Does somebody else use {self._access.user}?"
                self._say(f"{error}; trying again{'' if steady else hint}")
                self._part()

    def close(self) -> None:
        """Say good-bye."""
        if self._link is not None:
            self._link.close()

    def _part(self) -> None:
        self.close()
        self._link = None
        pause_s = self._pauses_s[min(self._attempts, len(self._pauses_s) - 1)]
        self._due_s = time.monotonic() + pause_s

    def _reconnect(self, rest_s: float) -> None:
        """Try once when it is time, else wait for a while."""
        wait_s = self._due_s - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, rest_s))
            return
        self._attempts += 1
        try:
            self._link = Link(self._access, self._hear)
            for portion in self._portions:
                self._link.subscribe(portion)
        except LinkDown:
            self._part()
        else:
            self._since_s = time.monotonic()
            self._say("connected again")
