"""One device of a fleet, as far as its retained messages tell.

What comes over the wire was written elsewhere: nothing of it is believed beyond its
schema, and no text keeps a character that a terminal would obey.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from asd_agent.bundle.state import REMEMBERED
from asd_agent.update.report import State, Step

Phase = Literal["unknown", "waiting", State]
"""How far a device is with one bundle; `unknown`: it was never seen"""
DONE: frozenset[Phase] = frozenset({"committed", "rejected", "rolled_back"})
"""Nothing more follows by itself"""
FAILED: frozenset[Phase] = frozenset({"rejected", "rolled_back"})
FINAL = REMEMBERED | {"rejected_before"}
"""Reasons with which a device refuses a bundle for good"""
MAX_TEXT = 200
"""Characters of a text that are kept"""


def printable(text: str) -> str:
    """Text without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)


Text = Annotated[str, AfterValidator(lambda text: printable(text[:MAX_TEXT]))]


class _Model(BaseModel):
    # A later agent may tell more.
    model_config = ConfigDict(frozen=True, extra="ignore")


class BundleName(_Model):
    """A bundle, as messages name it."""

    id: Text
    version: int

    def __str__(self) -> str:
        return f"{self.id} ({self.version})"


class Info(_Model):
    """Of ``info``."""

    agent: Text
    runtime: Text
    bundle: BundleName
    groups: tuple[Text, ...] = ()
    device_class: Text | None = None
    """None: an agent that takes no updates does not say"""
    started: AwareDatetime


class Progress(_Model):
    """Of ``bundle/state``."""

    ts: AwareDatetime
    state: State
    step: Step
    reason: Text | None = None
    detail: Text | None = None
    bundle: BundleName | None = None
    running: BundleName
    bytes: int = 0
    total_bytes: int | None = None
    windows: int = 0
    windows_needed: int = 0
    clock_synced: bool = False

    @property
    def percent(self) -> int | None:
        """How far the step is, 0 to 100; None: it does not say."""
        done, whole = self.bytes, self.total_bytes or 0
        if self.state == "trial":
            done, whole = self.windows, self.windows_needed
        elif self.state != "downloading":
            return None
        return min(100, 100 * done // whole) if whole > 0 else None


class SourceState(_Model):
    """Of ``<source>/state``."""

    ts: AwareDatetime
    state: Text
    event_id: Text | None = None
    bundle: BundleName


class Health(_Model):
    """Of ``health``."""

    ts: AwareDatetime


@dataclass(frozen=True, slots=True)
class Wish:
    """Of ``bundle/desired``: what the device shall run."""

    id: str
    version: int
    members: frozenset[str]
    """SHA-256 of the files that it names"""
    body: bytes = field(repr=False)
    """The message as it is"""


@dataclass(frozen=True, slots=True)
class Device:
    """What is known of a device."""

    name: str
    online: bool | None = None
    """None: it never said"""
    info: Info | None = None
    progress: Progress | None = None
    wish: Wish | None = None
    seen: datetime | None = None
    """When it last said how it does"""
    sources: Mapping[str, SourceState] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether it was ever seen."""
        return self.online is not None or self.running is not None

    @property
    def running(self) -> BundleName | None:
        """The bundle that decides there now."""
        if self.info:
            return self.info.bundle
        return self.progress.running if self.progress else None

    @property
    def alarms(self) -> int:
        """Sources that sound wrong now."""
        return sum(s.state == "anomalous" for s in self.sources.values())

    def report(self, bundle: str) -> Progress | None:
        """What it told of a bundle last; None: it tells of another, or of none."""
        told = self.progress
        return told if told and told.bundle and told.bundle.id == bundle else None

    def phase(self, bundle: str, stale: Progress | None = None) -> Phase:
        """How far it is with a bundle.

        Parameters
        ----------
        stale
            A report from before it was asked; it counts for nothing.
        """
        runs = self.running is not None and self.running.id == bundle
        report = self.report(bundle)
        if report is None or report == stale:
            return "committed" if runs else "waiting" if self.known else "unknown"
        if report.state == "committed" and not runs:
            return "waiting"  # it was set up anew since
        return report.state

    def refused_for_good(self, bundle: str) -> bool:
        """Whether it would refuse the bundle again without looking at it."""
        report = self.report(bundle)
        return report is not None and report.state in FAILED and report.reason in FINAL

    def committed_at(self, bundle: str, seen: datetime) -> datetime:
        """When it took the bundle over; `seen` where its clock cannot be believed."""
        report = self.report(bundle)
        if report is None:
            return datetime.min.replace(tzinfo=timezone.utc)  # before anybody asked
        believed = report.clock_synced and report.ts <= seen
        return report.ts if believed else seen
