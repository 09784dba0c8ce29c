"""One decision of each state, as the agent would make them."""

from dataclasses import replace
from datetime import datetime, timezone

from asd_agent.mqtt.clock import Anchor
from asd_agent.mqtt.payloads import Origin
from asd_agent.scoring.decision import (
    BandDelta,
    Decision,
    Event,
    Explanation,
    Spectrum,
    State,
)

ORIGIN = Origin(
    device="press-07",
    source="gearbox",
    boot_id="5f0c1e9ab2d34c6e8f7a6b5c4d3e2f10",
    anchor=Anchor(datetime(2026, 11, 21, 12, tzinfo=timezone.utc), 0, 16_000),
    bundle_id="pump-a",
    bundle_version=3,
    clock_synced=True,
)
NORMAL = Decision(
    end_sample=160_000,
    window_samples=157_184,
    state=State.NORMAL,
    changed=False,
    score=0.0312345678,
    threshold=0.125,
    p_value=0.42,
    windows=12,
    level_dbfs=-31.26789,
    gap=False,
    event=None,
)
EVENT = Event(
    since_sample=80_000,
    score_max=0.91,
    explanation=Explanation("bank-0173", 0.87, (BandDelta(2000, 2800, 9.123456),)),
)
ALARM = replace(NORMAL, state=State.ANOMALOUS, changed=True, score=0.87, event=EVENT)
SPECTRUM = Spectrum((0.0, 31.25), (31.25, 4000.0), (-71.23456, float("-inf")))
UNSCORED = replace(
    NORMAL,
    window_samples=0,
    score=None,
    threshold=None,
    p_value=None,
    level_dbfs=-200.0,
    gap=True,
)
BY_STATE = {
    State.LEARNING: replace(UNSCORED, state=State.LEARNING),
    State.NORMAL: NORMAL,
    State.ANOMALOUS: ALARM,
    State.NO_SIGNAL: replace(UNSCORED, state=State.NO_SIGNAL),
    State.MIC_SUSPECT: replace(NORMAL, state=State.MIC_SUSPECT),
    State.FAULT: replace(UNSCORED, state=State.FAULT),
}
