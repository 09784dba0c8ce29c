"""Which bundle runs, which was before it, and which are never tried again.

The state is data without I/O; every transition gives a new one. The store writes it.

::

    BASE or a bundle ──switched──► trial ──committed──► a bundle
                                     │
                                     └──rolled_back──► what was before

A bundle on trial that is started more than `MAX_STARTS` times without being committed
is rolled back: it may be what stops the device.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from asd_agent.errors import BundleError

BASE = ""
"""The bundle that the configuration names, or that comes with the software"""
MAX_STARTS = 3
"""A bundle on trial may be started so often"""
MAX_REJECTED = 64
"""So many rejected bundles are remembered; the oldest are forgotten"""
MAX_STATE_BYTES = 65_536
"""A larger state file is broken"""
REMEMBERED = frozenset(
    {"differs", "crashed", "hung", "not_finite", "identical", "too_slow", "error"}
    | {"starts", "by_hand"}
)
"""Reasons that lie in the bundle itself, which was verified before: it is not tried
again. Of other reasons (no room, no network, no signature) nothing is remembered"""

BundleId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Outcome = Literal["trial", "committed", "rejected", "rolled_back"]
Step = Literal["fetch", "verify", "self-test", "re-learn", "switch", "trial", "commit"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trial(_Model):
    """The current bundle has still to show that it is healthy."""

    starts: int = Field(0, ge=0, le=MAX_STARTS)
    """Times that the agent was started with it"""
    version: int | None = None


class News(_Model):
    """What became of the last bundle that was to be installed, to be reported."""

    id: BundleId
    version: int | None = None
    state: Outcome
    step: Step
    reason: str | None = Field(None, max_length=64)


class StoreState(_Model):
    """Contents of ``state.json``."""

    v: Literal[1] = 1
    current: BundleId | Literal[""] = BASE
    """Bundle that runs"""
    previous: BundleId | Literal[""] | None = None
    """What ran before it and is returned to; None: nothing, so `BASE`"""
    trial: Trial | None = None
    """None: the current bundle is committed"""
    rejected: dict[BundleId, str] = Field({}, max_length=MAX_REJECTED)
    """Why bundles failed here, by identifier, the oldest first"""
    news: News | None = None

    @model_validator(mode="after")
    def _fits(self) -> "StoreState":
        if self.current == BASE and self.trial is not None:
            raise ValueError("the base bundle cannot be on trial")
        if self.previous is not None and self.previous == self.current:
            raise ValueError("previous is the current bundle")
        return self

    @classmethod
    def found(cls, whole: Mapping[int, str]) -> "StoreState":
        """A new state where the old one was lost: the newest bundle is on trial.

        Parameters
        ----------
        whole
            Identifiers of the bundles that can be used, by version.
        """
        if not whole:
            return cls()
        *older, version = sorted(whole)
        news = News(
            id=whole[version],
            version=version,
            state="trial",
            step="switch",
            reason="broken",
        )
        return cls(
            current=whole[version],
            previous=whole[older[-1]] if older else None,
            trial=Trial(version=version),
            news=news,
        )

    def switched(self, bundle: str, version: int | None = None) -> "StoreState":
        """Put an installed bundle on trial; of the current one nothing changes.

        What is returned to is the last bundle that was committed.

        Raises
        ------
        BundleError
            The bundle was rejected before.
        """
        if bundle == self.current:
            return self
        if bundle in self.rejected:
            raise BundleError(
                f"{bundle} was rejected by this device before "
                f"({self.rejected[bundle]}). Install a mended bundle under another id",
                "rejected_before",
            )
        previous = self.previous if self.trial else self.current
        return self._to(
            current=bundle,
            # A trial of the bundle before the last leaves nothing but it.
            previous=None if previous == bundle else previous,
            trial=Trial(version=version),
            news=News(id=bundle, version=version, state="trial", step="switch"),
        )

    def started(self) -> "StoreState":
        """Count a start of the agent; one too many of a trial rolls it back."""
        if self.trial is None:
            return self
        if self.trial.starts >= MAX_STARTS:
            return self.rolled_back("starts")
        trial = Trial(starts=self.trial.starts + 1, version=self.trial.version)
        return self._to(trial=trial)

    def committed(self, of: str | None = None) -> "StoreState":
        """End the trial well.

        Parameters
        ----------
        of
            Bundle that is meant: if another one is current by now, nothing changes.
        """
        if self.trial is None or of not in {None, self.current}:
            return self
        news = News(
            id=self.current,
            version=self.trial.version,
            state="committed",
            step="commit",
        )
        return self._to(trial=None, news=news)

    def rolled_back(self, reason: str, of: str | None = None) -> "StoreState":
        """Return to what was before and never try the current bundle again.

        Parameters
        ----------
        of
            Bundle that is meant: if another one is current by now, nothing changes.

        Raises
        ------
        BundleError
            The base bundle runs: there is nothing to return to.
        """
        if of not in {None, self.current}:
            return self
        if self.current == BASE:
            raise BundleError(
                "no installed bundle runs, so there is none to roll back. "
                "asd-agent bundle list shows what is installed"
            )
        return self._left(reason)._remember(self.current, reason)

    def fallen_back(self, reason: str) -> "StoreState":
        """Return to what was before, as the current bundle cannot be used any more.

        It is the medium that failed, or the keys were changed: the same bundle may be
        installed again.
        """
        return self._left(reason) if self.current != BASE else self

    def bereft(self) -> "StoreState":
        """Note that what was before is not there any more: `BASE` is returned to."""
        return self._to(previous=None)

    def refused(
        self,
        bundle: str,
        reason: str,
        step: Step = "verify",
        version: int | None = None,
    ) -> "StoreState":
        """Note that a bundle was not installed.

        It is remembered as rejected only for what lies in itself (`REMEMBERED`).
        """
        news = News(
            id=bundle, version=version, state="rejected", step=step, reason=reason
        )
        return self._remember(bundle, reason)._to(news=news)

    def forgiven(self, bundle: str) -> "StoreState":
        """Forget that a bundle was rejected: an operator wants it tried again."""
        return self._to(
            rejected={k: v for k, v in self.rejected.items() if k != bundle}
        )

    def _left(self, reason: str) -> "StoreState":
        version = self.trial.version if self.trial else None
        return self._to(
            current=BASE if self.previous is None else self.previous,
            previous=None,
            trial=None,
            news=News(
                id=self.current,
                version=version,
                state="rolled_back",
                step="trial",
                reason=reason,
            ),
        )

    def _remember(self, bundle: str, reason: str) -> "StoreState":
        if reason not in REMEMBERED:
            return self
        others = {k: v for k, v in self.rejected.items() if k != bundle}
        entries = [*others.items(), (bundle, reason)]
        return self._to(rejected=dict(entries[-MAX_REJECTED:]))

    def _to(self, **changes: object) -> "StoreState":
        return StoreState.model_validate(dict(self) | changes)


FRESH = StoreState()
"""Nothing was ever installed"""


def encode(state: StoreState) -> bytes:
    """Bytes of ``state.json``."""
    return state.model_dump_json(indent=1).encode() + b"\n"


def decode(raw: bytes) -> StoreState:
    """Read the bytes of ``state.json``.

    Raises
    ------
    BundleError
        They are no state.
    """
    if len(raw) > MAX_STATE_BYTES:
        raise BundleError(f"has more than {MAX_STATE_BYTES} bytes")
    try:
        return StoreState.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise BundleError(f"{where}: {first['msg']}") from error
