"""What the agent costs around its network: CPU time of every stage, in one run.

The sound enters at 48 kHz in chunks of 0.1 s as from a microphone and takes the
agent's own way: resampler, ring, front end, network, pool, a full bank, decision,
messages to a real broker. Only waiting is left out: the sound comes as fast as it
is taken, and the publisher's clock is the sound's.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.member import open_members
from asd_agent.capture.feed import Feed
from asd_agent.inference.open import RuntimeChoice
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.alarm import AlarmRule
from bench.meter import Meter
from bench.sites import BANK, large_site
from bench.sound import Tape, machine_sound
from bench.teller import Teller, teller

RATE_HZ = 48_000
SHARE = 0.15
"""Most that everything around the network may cost, as a share of it"""
RULE = AlarmRule(raise_k=3, raise_n=5, clear_k=0, clear_n=10)
NETWORK = "network"
CAPTURE = "resampler and ring"
DECISION = "decision"
MESSAGES = "messages"
SENDING = "sending (own thread)"
STAGES = {
    "asd_agent.hearing.assess": "signal health",
    "asd_agent.features.stream.FeatureStream._complete": "front end",
    "asd_agent.features.stream.FeatureStream._advance": "front end",
    "asd_agent.bundle.member.Member.embed": NETWORK,
    "asd_agent.scoring.explain.BandGroups.levels": "levels of bands",
    "asd_agent.scoring.explain.BandGroups.spectrum": "levels of bands",
    "asd_agent.scoring.pooling.Pool.push": "pool",
    "asd_agent.scoring.pooling.Pool.vector": "pool",
    "asd_agent.judge.Scorer.score": f"bank of {BANK:,}",
}
"""What is counted as what; the rest of a step is the decision"""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of one run."""

    library: str
    seconds: float
    """Seconds of sound"""
    units: int
    total_s: float
    """CPU seconds of the whole process"""
    stages: dict[str, float]
    """CPU seconds of what was counted"""

    @property
    def around_s(self) -> float:
        """CPU seconds of everything around the network."""
        return self.total_s - self.stages[NETWORK]

    def row(self, name: str, cpu_s: float) -> str:
        """Write one figure as a row of a Markdown table."""
        unit_us = cpu_s / self.units * 1e6
        hour_s = cpu_s / self.seconds * 3600
        return f"| {name} | {unit_us:.0f} | {hour_s:.1f} |"


def cost(path: Path, runtime: RuntimeChoice, seconds: float) -> str:
    """Measure a bundle in one runtime with so much sound; a Markdown table.

    The sound is heard twice: for the share with nothing counted but the network,
    and for the stages, whose counting costs some microseconds each.
    """
    alone = {target: stage for target, stage in STAGES.items() if stage == NETWORK}
    plain = _cost(path, runtime, seconds, alone)
    staged = _cost(path, runtime, seconds, STAGES)
    share = plain.around_s / plain.stages[NETWORK]
    verdict = "met" if share <= SHARE else "not met"
    lines = [
        f"{plain.library}: around the network {share:.0%} of it, "
        f"at most {SHARE:.0%} {verdict}",
        "",
        "| | us a unit | CPU s an hour |",
        "|---|---|---|",
        plain.row("network", plain.stages[NETWORK]),
        plain.row("all around it", plain.around_s),
    ]
    stages = sorted(staged.stages.items(), key=lambda stage: -stage[1])
    lines += [staged.row(f"- {name}", s) for name, s in stages if name != NETWORK]
    return "\n".join(lines)


def _cost(
    path: Path, runtime: RuntimeChoice, seconds: float, counted: dict[str, str]
) -> Cost:
    members = open_members(Bundle.open(path), runtime)
    pipeline = Pipeline(members, large_site(members), RULE, per_week=1.0)
    rate_hz = members[0].spec.features.rate_hz
    tape = Tape(machine_sound(seconds, RATE_HZ), RATE_HZ)
    meter = Meter()
    with ExitStack() as stack:
        for target, stage in counted.items():
            stack.enter_context(_counted(meter, target, stage))
        told = stack.enter_context(teller(rate_hz))
        feed = stack.enter_context(closing(Feed(tape, rate_hz)))
        print(f"hearing {seconds:g} s with {members[0].library}", file=sys.stderr)
        began_s = time.process_time(), time.thread_time()
        units = _hear(feed, pipeline, meter, told)
        total_s = time.process_time() - began_s[0]
        sending_s = total_s - (time.thread_time() - began_s[1])
    stages = meter.seconds | {SENDING: sending_s}
    return Cost(members[0].library, seconds, units, total_s, stages)


def _hear(feed: Feed, pipeline: Pipeline, meter: Meter, told: Teller) -> int:
    units = 0
    for block in meter.each(CAPTURE, feed.blocks()):
        for decision in meter.each(DECISION, pipeline.step(block)):
            meter.run(MESSAGES, told.tell, decision)
            units += 1
    told.finish()
    return units


@contextmanager
def _counted(meter: Meter, target: str, stage: str) -> Iterator[None]:
    """Count every call of a function or method as `stage`."""
    patch = mock.patch(target)
    original: Callable[..., Any] = patch.get_original()[0]

    def counted(*args: Any, **named: Any) -> Any:
        return meter.run(stage, lambda: original(*args, **named))

    with mock.patch(target, counted):
        yield
