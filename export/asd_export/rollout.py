"""A bundle on its way through a fleet, wave after wave, until all is well or not.

Nothing of it is kept here: what devices retain on the broker tells how far it is, so
the same command goes on where it was interrupted.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Protocol

from asd_export import duration
from asd_export.device import FAILED
from asd_export.errors import BrokerError
from asd_export.monitor import Monitor, insist
from asd_export.rule import Rule
from asd_export.sender import Bar, Cargo, Sender
from asd_export.tally import Tally, utc

TICK_S = 0.25
"""Seconds between two looks at the clock"""
SHOWN = 8
"""Names in a sentence"""


class Outcome(IntEnum):
    """How a push ended; the exit code of the command."""

    DONE = 0
    FAILED = 11
    """A device rejected the bundle or rolled it back"""
    LATE = 12
    """Not all devices were through in time"""
    STOPPED = 13
    """The rule held, or no canary took the bundle: it was withdrawn"""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the next wave follows."""

    after_s: float = 0.0
    """Seconds that a wave must have run before the next"""
    rule: Rule | None = None
    """What ends the rollout"""
    timeout_s: float = 3600.0
    """Seconds in which a wave must be through"""
    wait: bool = True
    """Whether the last wave is waited for"""


class Screen(Protocol):
    """Where a person looks."""

    @property
    def bar(self) -> Bar:
        """Makes a bar that shows how many bytes have gone."""
        ...

    def say(self, line: str) -> None:
        """Tell a sentence."""
        ...

    def show(self, tally: Tally, title: str) -> None:
        """Show how far each device is."""
        ...


@dataclass(frozen=True, slots=True)
class Wave:
    """Devices that are asked together."""

    names: tuple[str, ...]
    send: frozenset[str]
    """Those that have not been asked yet"""


class Rollout:
    """Sends to each wave, watches it, and goes on or withdraws."""

    def __init__(
        self,
        sender: Sender,
        cargo: Cargo,
        terms: Terms,
        screen: Screen,
        watch: Callable[[], Monitor],
        *,
        now: Callable[[], datetime] = utc,
    ) -> None:
        self.tally = Tally(sender.fleet, cargo.id, now=now)
        self._sender = sender
        self._cargo = cargo
        self._terms = terms
        self._screen = screen
        self._watch = watch
        self._now = now
        self._former: dict[str, bytes] = {}

    def run(self, waves: Sequence[Wave]) -> Outcome:
        """Do all of it.

        Raises
        ------
        BrokerError
            The broker cannot be reached, or refuses something.
        """
        for i, wave in enumerate(waves):
            last = i == len(waves) - 1
            title = f"wave {i + 1} of {len(waves)}" if len(waves) > 1 else ""
            if title:
                self._screen.say(f"{title}: {shown(wave.names)}")
            self._send(wave, first=i == 0)
            if last and not self._terms.wait:
                break
            outcome = self._follow(wave, title, last)
            if outcome is not None:
                return outcome
        counts = self.tally.counts()
        failed = counts["rejected"] + counts["rolled_back"]
        return Outcome.FAILED if failed else Outcome.DONE

    def _send(self, wave: Wave, *, first: bool) -> None:
        for name in wave.names:
            self.tally.ask(name, anew=name in wave.send)
            wish = self._sender.fleet[name].wish
            if name not in wave.send and wish and wish.id == self._cargo.id:
                self._former[name] = b""  # what it was before is not known any more
        lacking = self._sender.lacking(self._cargo)
        needed = not self.tally.settled(wave.names) and lacking
        if not (wave.send or needed) or self._holds():
            return
        names = sorted(wave.send)
        insist(lambda: self._ask(names, first=first), self._screen.say)
        if names:
            self._screen.say(f"asked {shown(names)} to run {self._cargo.id}")

    def _ask(self, names: Sequence[str], *, first: bool) -> None:
        if not first:  # much may have happened since
            with self._sender.connected() as link:
                self._sender.look(link, names)
                self._sender.look_for_files(link, self._cargo)
        for name in names:
            wish = self._sender.fleet[name].wish
            other = wish is not None and wish.id != self._cargo.id
            # Of a second attempt the first counts, which may have got this far.
            self._former.setdefault(name, wish.body if wish and other else b"")
        # Anew: what is sent would come back on a connection that listens to it.
        with self._sender.connected() as link:
            self._sender.send(link, self._cargo, names, self._screen.bar)

    def _follow(self, wave: Wave, title: str, last: bool) -> Outcome | None:
        """Watch until a wave is through; None: the next may come."""
        monitor = insist(self._listen, self._screen.say)
        try:
            verdict = self._verdict(wave, title, last, monitor)
        finally:
            monitor.close()
        if verdict == Outcome.STOPPED:
            self._withdraw()
        return verdict

    def _listen(self) -> Monitor:
        monitor = self._watch()
        try:
            monitor.listen(self._sender.fleet.topics(self.tally.names))
        except BrokerError:
            monitor.close()
            raise
        return monitor

    def _verdict(
        self, wave: Wave, title: str, last: bool, monitor: Monitor
    ) -> Outcome | None:
        began, told = self._now(), False
        while True:
            if self._holds():
                self._screen.show(self.tally, title)
                self._screen.say(f"stopped: {self._why()}")
                return Outcome.STOPPED
            rest_s = self._rest_s(wave, last)
            self._screen.show(self.tally, self._title(title, rest_s))
            if rest_s is not None and rest_s <= 0:
                return self._end(wave, last)
            if rest_s and not told:
                told = True
                self._screen.say(f"{title}: all through, next {_after(rest_s)}")
            spent_s = (self._now() - began).total_seconds()
            if rest_s is None and spent_s >= self._terms.timeout_s:
                return Outcome.LATE
            monitor.pump(TICK_S)

    def _rest_s(self, wave: Wave, last: bool) -> float | None:
        """Seconds until a wave is through; None: some of its devices are not."""
        if not self.tally.settled(wave.names):
            return None
        since = self.tally.calm_since(wave.names)
        if last or since is None:
            return 0.0
        spent: timedelta = self._now() - since
        return self._terms.after_s - spent.total_seconds()

    def _end(self, wave: Wave, last: bool) -> Outcome | None:
        if last or self.tally.calm_since(wave.names) is not None:
            return None
        self._screen.say("stopped: no device of this wave took the bundle")
        return Outcome.STOPPED

    def _holds(self) -> bool:
        rule = self._terms.rule
        return rule is not None and rule.holds(self.tally.counts())

    def _why(self) -> str:
        counts = self.tally.counts()
        said = ", ".join(f"{name} is {count}" for name, count in counts.items())
        return f"{self._terms.rule} ({said})"

    def _withdraw(self) -> None:
        """Take the wish back, but from those that run the bundle.

        What was wished before comes back, but not where the bundle failed: such a
        device runs what it ran before, and an answer to the old wish would take the
        place of its report.
        """
        kept = {"committed", "trial"}
        phases = {name: self.tally.phase(name) for name in self._former}
        wishes = {
            name: b"" if phases[name] in FAILED else body
            for name, body in self._former.items()
            if phases[name] not in kept
        }
        if wishes:
            insist(lambda: self._wish(wishes), self._screen.say)
        self._screen.say(f"withdrawn from {shown(wishes)}")
        others = [n for n in self.tally.names if self.tally.phase(n) in kept]
        if others:
            self._screen.say(f"{shown(others)} keep it or decide by themselves")

    def _wish(self, wishes: Mapping[str, bytes]) -> None:
        with self._sender.connected() as link:
            self._sender.wish(link, wishes)

    def _title(self, title: str, rest_s: float | None) -> str:
        """What is waited for."""
        parts = [title] if title else []
        if rest_s is not None and rest_s > 0:
            parts.append(f"well so far; next {_after(rest_s)}")
        if self._terms.rule is not None:
            counts = self.tally.counts()
            said = ", ".join(f"{name} {count}" for name, count in counts.items())
            parts.append(f"{said}; ends if {self._terms.rule}")
        return "; ".join(parts)


def _after(rest_s: float) -> str:
    return f"wave in {duration.shown(rest_s)}"


def shown(names: Collection[str]) -> str:
    """Names of devices in a sentence."""
    few = sorted(names)[:SHOWN]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(few) or "no device") + more
