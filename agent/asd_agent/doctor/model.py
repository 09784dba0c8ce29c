"""Examines the bundle: whole, trusted, right and fast enough."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import Member
from asd_agent.bundle.proof import Proof
from asd_agent.bundle.selftest import prove
from asd_agent.bundle.state import BASE
from asd_agent.capture.chunk import Block
from asd_agent.check import learnt, origin, to_learn_again
from asd_agent.config import Config, SourceConfig
from asd_agent.doctor.finding import Finding, fail, ok, warn
from asd_agent.doctor.words import number
from asd_agent.errors import BundleError
from asd_agent.hearing import Hearing
from asd_agent.learnt import plan_start
from asd_agent.setup import members_of, open_bundle, store_of

WARM_UP, TIMED = 3, 20
"""Units that are computed before, and while, the clock is looked at"""
LONGEST_S = 10.0
"""A slow model is not timed for longer"""
BUSY = 0.5
"""Part of one core from where there is little room for anything else"""
TEST_S = 60.0
"""Seconds that testing the models may take, unless the configuration says less"""
SEED = 5


@contextmanager
def warnings_heard() -> Iterator[list[str]]:
    """Collect what the agent warns of meanwhile, and keep it out of the log."""
    heard: list[str] = []

    class _Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logger, handler = logging.getLogger("asd_agent"), _Collector(logging.WARNING)
    spread = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
        logger.propagate = spread


def open_it(config: Config) -> tuple[Bundle, Iterator[Finding]]:
    """Open and verify the bundle that runs; say what is known of it.

    Raises
    ------
    BundleError, ConfigError
        It cannot be used.
    """
    with warnings_heard() as heard:
        bundle = open_bundle(config)
    return bundle, _of_bundle(config, bundle, heard)


def _of_bundle(
    config: Config, bundle: Bundle, heard: Sequence[str]
) -> Iterator[Finding]:
    for text in heard:
        fix = "see them all: asd-agent bundle list; install a good one again"
        yield warn("bundle", text, fix)
    manifest = bundle.manifest
    yield ok(
        "bundle",
        f"{manifest.id} version {manifest.version}: whole, {origin(bundle)}, "
        f"{bundle.path}",
        figures={"id": manifest.id, "version": manifest.version},
    )
    if config.bundle.allow_unsigned:
        text = "bundles without a signature are taken: who can write one decides"
        fix = "sign bundles (asd-export keys) and remove allow_unsigned"
        yield warn("signature", text, fix)
    if config.bundle.path is None:
        state = store_of(config).read()
        if state.trial is not None and state.current != BASE:
            yield ok("trial", f"{state.current} is on trial, not committed yet")


def open_members(
    config: Config, bundle: Bundle
) -> tuple[list[Member], Iterator[Finding]]:
    """Test the models in a process of their own, then open them.

    Raises
    ------
    BundleError, RuntimeMissing
        They cannot be used: they hang, crash, or compute other numbers here.
    """
    own = config.bundle
    timeout_s = min(TEST_S, own.test_timeout_s)
    with warnings_heard() as heard:
        # There first: what crashes a library would end this look at the device.
        proof = prove(bundle.path, own.runtime, timeout_s, own.test_memory_bytes)
        members = members_of(config, bundle)
    return members, _of_members(members, proof, heard)


def _of_members(
    members: Sequence[Member], proof: Proof, heard: Sequence[str]
) -> Iterator[Finding]:
    for text in heard:
        fix = "test them all: asd-agent bundle verify; then install a good bundle"
        yield warn("model", text, fix)
    for member in members:
        name, file = member.spec.name, member.model_file
        rows = [row for row in proof.rows if row.member == name and row.allowed]
        share = max((row.difference / row.allowed for row in rows), default=0.0)
        yield ok(
            "model",
            f"{name}: golden numbers agree, {member.library}"
            f"{f' ({file})' if file else ''}",
            figures={"share_of_allowed": round(share, 6)},
        )


def time_units(
    members: Sequence[Member], clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Seconds that each of some units takes, from samples to vectors."""
    features = members[0].spec.features
    rng = np.random.default_rng(SEED)
    hearing, start = Hearing(members), 0
    found: list[float] = []
    begun_s, turns = clock(), 0
    while turns < WARM_UP + TIMED and not (found and clock() - begun_s > LONGEST_S):
        size = features.unit_samples if not start else features.shift_samples
        samples = rng.normal(0, 0.1, size).astype(np.float32)
        before_s = clock()
        for _ in hearing.hear(Block(samples, start, gap=False)):
            turns += 1
        if turns > WARM_UP:
            found.append(clock() - before_s)
        start += size
    return found


def speed(
    members: Sequence[Member], sources: int, took_s: Sequence[float], *, beside: bool
) -> Finding:
    """Whether the models keep up with all sources.

    Parameters
    ----------
    sources
        So many are listened to.
    took_s
        Seconds that units took, see `time_units`.
    beside
        Whether the agent ran meanwhile, and took its part.
    """
    features = members[0].spec.features
    unit_s, every_s = (
        float(np.median(took_s)),
        features.shift_samples / features.rate_hz,
    )
    load = sources * unit_s / every_s
    text = (
        f"{1000 * unit_s:.1f} ms a unit (median of {len(took_s)}, longest "
        f"{1000 * max(took_s):.1f} ms), and one every {1000 * every_s:.0f} ms: "
        f"{number(sources, 'source')} {'takes' if sources == 1 else 'take'} "
        f"{100 * load:.1f} % of a core, {1 / load:.3g} x real time"
    )
    text += ", measured beside the running agent" if beside else ""
    figures = {
        "unit_ms": round(1000 * unit_s, 3),
        "hop_ms": round(1000 * every_s, 3),
        "load": round(load, 4),
    }
    lighter = (
        "take a bundle with a smaller network or an int8 file, fewer sources, or a "
        "faster computer; see docs/performance.md"
    )
    if load > 1:
        text += ": too slow, windows will be left out"
        return fail("speed", text, lighter, BundleError, figures=figures)
    if load > BUSY:
        return warn("speed", text, lighter, figures=figures)
    return ok("speed", text, figures=figures)


def learnt_of(
    config: Config, source: SourceConfig, bundle: Bundle, members: list[Member]
) -> Iterator[Finding]:
    """What a source has learnt with this bundle.

    Raises
    ------
    SiteError
        It is damaged.
    """
    alone = config.model_copy(update={"sources": (source,)})
    with warnings_heard():
        plan = plan_start(alone, bundle.manifest, members)
    prefix = f"source {source.name}: "
    for task in plan.tasks:
        yield ok("learnt", to_learn_again(task).removeprefix(prefix))
    for why in plan.without.values():
        text = f"was learnt with another bundle, and {why}"
        fix = f"learn it again: asd-agent learn --source {source.name} --minutes 15"
        yield warn("learnt", text, fix)
    if not plan.tasks and not plan.without:
        text = learnt(config, source, bundle.manifest.id, members)
        yield ok("learnt", text.removeprefix(prefix))
