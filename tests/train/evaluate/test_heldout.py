"""Held-out scores against leaving each clip out by hand."""

from datetime import datetime, timezone

import numpy as np
import pytest

from asd_agent.capture.signal_health import Verdict
from asd_agent.hearing import Heard
from asd_agent.judge import Judge, judge_clip
from asd_agent.learn import Learner
from asd_agent.scoring.calibration import Calibration
from asd_agent.scoring.detector import DetectorSpec, KnnSpec, LofSpec, MahalanobisSpec
from asd_agent.scoring.pooling import PoolingSpec
from asd_train.data.dcase import Clip
from asd_train.evaluate.cache import Store
from asd_train.evaluate.ear import Ear
from asd_train.evaluate.heldout import clip_scores, left_out, window_count
from asd_train.evaluate.panel import Panel, plan_of, statistics_alone
from asd_train.scoring_spec import ScorerSpec, ScoringSpec

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def learner(panel: Panel, heard: list[list[Heard]]) -> Learner:
    found = Learner(panel.members)
    for clip in heard:
        for unit in clip:
            found.add(unit)
        found.end_segment()
    return found


@pytest.mark.parametrize("detector", [KnnSpec(), LofSpec(k=2), MahalanobisSpec()])
@pytest.mark.parametrize("units", [4, 18])
def test_a_clip_scores_as_if_it_had_not_been_learnt(
    ear: Ear, fans: tuple[Clip, ...], store: Store, detector: DetectorSpec, units: int
) -> None:
    spec = ScorerSpec(pooling=PoolingSpec(units=units), source=detector)
    panel = plan_of(ear, ScoringSpec(members=(spec,)), "fan").of_all
    # Without a window's length around what is held out, a clip of one window is
    # scored by exactly the others.
    heard = [panel.heard(store.of(clip)[:5]) for clip in fans[:6]]
    site = learner(panel, heard).site("test", NOW)
    found = clip_scores(panel.members, site, heard)
    for i, score in enumerate(found):
        rest = heard[:i] + heard[i + 1 :]
        judge = Judge(panel.members, learner(panel, rest).site("test", NOW), 0.01)
        whole = heard[i][:units] if units < 5 else heard[i]
        assert judge_clip(judge, whole).score == pytest.approx(score, rel=1e-4)


def test_several_members_are_combined(
    ear: Ear, fans: tuple[Clip, ...], store: Store
) -> None:
    spec = ScoringSpec(members=(ScorerSpec(), statistics_alone(18)), combine="fisher")
    panel = plan_of(ear, spec, "fan").of_all
    heard = [panel.heard(store.of(clip)) for clip in fans]
    site = learner(panel, heard).site("test", NOW)
    found = clip_scores(panel.members, site, heard)
    alone = []
    for member in panel.members:
        scores = site.members[member.spec.name].scores
        last = np.array([row[np.isfinite(row)][-1] for row in scores])
        alone.append(left_out(last, member.spec.detector.floor))
    expected = -np.log10(np.array(alone)).sum(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(np.unique(found)) > len(fans) / 2


def test_left_out_p_values_are_those_of_the_others() -> None:
    scores = np.random.default_rng(0).normal(size=13).round(1)
    found = left_out(np.append(scores, np.nan), 1e-3)
    for i, score in enumerate(scores):
        rest = Calibration(1e-3).fit(np.delete(scores, i))
        assert found[i] == pytest.approx(rest.p_value(score))
    assert np.isnan(found[-1])


OK, SILENT = Verdict.OK, Verdict.NO_SIGNAL


def units_of(pattern: str, size: int = 1) -> list[Heard]:
    """``.`` a unit, ``_`` silence, ``|`` a unit after a gap."""
    return [
        Heard(
            end_sample=i,
            vectors=() if mark == "_" else (np.full(size, i + 1, np.float32),),
            levels=np.zeros(0 if mark == "_" else 24, np.float32),
            level_dbfs=-20,
            verdict=SILENT if mark == "_" else OK,
            gap=mark == "|",
        )
        for i, mark in enumerate(pattern)
    ]


@pytest.mark.parametrize(
    ("pattern", "windows"),
    [
        (".", 1),
        ("....", 1),
        (".......", 1),
        ("........", 2),
        ("__", 0),
        ("..__", 1),
        ("..__.", 1),
        ("....__.", 2),
        ("....|...", 2),
        ("..|....", 1),
        ("_....____....._", 2),
    ],
)
def test_windows_are_counted_as_the_learner_cuts_them(
    ear: Ear, pattern: str, windows: int
) -> None:
    assert window_count(units_of(pattern), 4) == windows
    spec = ScorerSpec(pooling=PoolingSpec(units=4))
    panel = plan_of(ear, ScoringSpec(members=(spec,)), "fan").of_all
    size = panel.members[0].size
    # Two whole clips beside it, since a site needs two windows.
    heard = [units_of("....", size), units_of(pattern, size), units_of("....", size)]
    site = learner(panel, heard).site("test", NOW)
    assert len(site.members["network"].scores) == windows + 2
