"""Opens the bundle that shall run, for all sources; of several the first that can.

Exactly one whole bundle runs at any time: the current one of the store, or the one
before it, or the one that comes with the software.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Thread

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.manifest import Manifest
from asd_agent.bundle.member import shared
from asd_agent.bundle.state import BASE, REMEMBERED, StoreState
from asd_agent.bundle.store import Store
from asd_agent.config import Config
from asd_agent.ear import Ear
from asd_agent.engine import open_engine
from asd_agent.errors import AsdError, BundleError, RuntimeMissing
from asd_agent.relearn import ensure_sites
from asd_agent.setup import members_of, trust_of
from asd_agent.update.book import Book, Change

log = logging.getLogger(__name__)

OPEN_S = 60.0
"""Seconds after which the opening of models hangs"""
POLL_S = 0.2
"""Seconds between two looks at whether it does"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle with an ear for each source."""

    key: str
    """Its name in the store; `BASE`: that of the configuration or the software"""
    manifest: Manifest
    ears: tuple[Ear, ...]
    """In the order of the sources"""

    @property
    def library(self) -> str:
        """What runs it, such as ``onnxruntime 1.31.1``."""
        return self.ears[0].engine.members[0].library


def find(config: Config, store: Store, key: str) -> Bundle:
    """Open the bundle of that name in the store, or the one that needs no store.

    Raises
    ------
    BundleError
        It is not whole, or not to be trusted.
    """
    if key != BASE:
        return Bundle.open(store.path(key), trust_of(config))
    if config.bundle.path is not None:
        return Bundle.open(config.bundle.path, trust_of(config))
    return Bundle.open(DEFAULT_BUNDLE)  # a part of the software


class Opening(Thread):
    """Opens one bundle in a thread of its own, for it may hang.

    When the thread has ended `opened` or `error` is set.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        key: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name=f"open-{key}", daemon=True)
        self.key = key
        self.opened: Opened | None = None
        self.error: Exception | None = None
        self._config = config
        self._store = store
        self._clock = clock
        self._began_s: float | None = None

    @property
    def hangs(self) -> bool:
        """Whether the models take too long; learning has its own limits."""
        return self._began_s is not None and self._clock() - self._began_s > OPEN_S

    def run(self) -> None:
        """Open it; what was learnt of a source must be at hand, or kept."""
        try:
            self.opened = self._open()
        except AsdError as error:
            self.error = error
        except Exception as error:  # a thread's top: models can raise anything
            log.exception("bundle %s cannot be opened", self.key)
            self.error = error
        finally:
            self._began_s = None

    def _open(self) -> Opened:
        config = self._config
        bundle = find(config, self._store, self.key)
        manifest = bundle.manifest
        self._began_s = self._clock()
        members = shared(members_of(config, bundle))
        self._began_s = None
        # Another model file of the same bundle is learnt again for as well.
        ensure_sites(config, bundle.path, manifest, members)
        ears = [
            Ear(config, source, open_engine(config, source, manifest, members))
            for source in config.sources
        ]
        return Opened(self.key, manifest, tuple(ears))


def given_up(key: str, error: Exception) -> tuple[str, Change]:
    """Why a bundle that cannot be opened goes, and what becomes of the state."""
    reason = "error"
    if isinstance(error, AsdError):
        reason = "no_runtime" if isinstance(error, RuntimeMissing) else "broken"
    if isinstance(error, BundleError):
        reason = error.reason
    return reason, left_for(reason, key)


def left_for(reason: str, key: str) -> Change:
    """What becomes of the state if a bundle goes for a reason."""
    if key == BASE:
        return lambda state: state  # there is nothing below it
    if reason in REMEMBERED:
        return lambda state: state.rolled_back(reason, of=key)
    # It is not the bundle's fault: it may be installed again.
    return lambda state: state.fallen_back(reason) if state.current == key else state


def open_first(
    config: Config, store: Store, book: Book, restart: Callable[[], None]
) -> Opened:
    """Open the bundle that runs first: the current one, or the next that can.

    Parameters
    ----------
    restart
        Begins this process anew: a model that hangs cannot be stopped.

    Raises
    ------
    AsdError
        No bundle can be used, or what was learnt cannot.
    """
    state = book.start() if config.bundle.path is None else StoreState()
    while True:
        opening = _open(config, store, state.current)
        if opening.opened is not None:
            return opening.opened
        hangs = BundleError("it takes too long to open", "hung")
        error = opening.error or hangs
        of_bundle = isinstance(error, BundleError | RuntimeMissing)
        if opening.key == BASE or (state.trial is None and not of_bundle):
            raise error  # a person must mend what was learnt
        reason, change = given_up(opening.key, error)
        log.error("bundle %s is left (%s): %s", opening.key, reason, error)
        state = book.change(change)
        if error is hangs:
            restart()


def _open(config: Config, store: Store, key: str) -> Opening:
    """Wait until a bundle is opened, or hangs; for the last resort without an end."""
    opening = Opening(config, store, key)
    opening.start()
    while opening.is_alive() and not (opening.hangs and key != BASE):
        opening.join(POLL_S)
    return opening
