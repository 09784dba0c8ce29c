"""Makes the parts that update bundles, as a configuration says."""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.selftest import prove
from asd_agent.bundle.store import Store
from asd_agent.config import Config
from asd_agent.errors import BundleError
from asd_agent.learnt import forget_sites
from asd_agent.relearn import relearn
from asd_agent.setup import trust_of
from asd_agent.update.install import Acts, Installer
from asd_agent.update.report import Report
from asd_agent.update.tries import Tries

log = logging.getLogger(__name__)

TRIES_FILE = "tries.json"
"""Beside ``state.json``"""


def installer_of(
    config: Config,
    store: Store,
    report: Callable[[Report], None],
    *,
    allow_downgrade: bool = False,
    learn_anew: bool = False,
) -> Installer:
    """What installs bundles into the store of a configuration.

    Parameters
    ----------
    allow_downgrade
        Take a bundle that is not newer than the installed one.
    learn_anew
        Where no sound was kept, learn from what is heard first with the bundle.

    Raises
    ------
    ConfigError
        A trusted key cannot be read.
    """
    limits = config.bundle

    def test(folder: Path, stop: Event) -> object:
        timeout_s, memory_bytes = limits.test_timeout_s, limits.test_memory_bytes
        return prove(folder, limits.runtime, timeout_s, memory_bytes, stop)

    def learn(folder: Path, stop: Event) -> object:
        return relearn(config, folder, stop, "learn_anew" if learn_anew else "refuse")

    return Installer(
        store,
        replace(trust_of(config), allow_downgrade=allow_downgrade),
        Acts(test, learn),
        report=report,
        tries=Tries(store.folder / TRIES_FILE),
    )


def tidy(config: Config, store: Store) -> None:
    """Remove bundles that are not needed any more, and what was learnt with them."""
    try:
        store.tidy()
        state = store.read()
        kept = {key for key in (state.current, state.previous) if key}
        kept.add(Bundle.open(DEFAULT_BUNDLE).manifest.id)
        forget_sites(config, kept)
    except BundleError as error:
        log.warning("old bundles are not removed: %s", error)


def restart() -> None:
    """Begin this process anew, with the same command line."""
    log.warning("starting anew")
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ours
