"""Judging: one member as ever, several by what they say together, clips whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SoundError
from asd_agent.hearing import Heard
from asd_agent.judge import Judge, Judgement, judge_clip
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.scoring.calibration import Calibrations
from asd_agent.scoring.combine import Combine, HeldOut, joint, statistic
from asd_agent.scoring.detector import DetectorSpec, build
from asd_agent.scoring.pooling import Pool
from support.bundles import DETECTORS, SMALL, forge
from support.sounds import blocks, heard, learnt, noise, opened, whine

SPAN, SHIFT = SMALL.unit_samples, SMALL.shift_samples
UNITS = 6
WINDOW = SPAN + (UNITS - 1) * SHIFT
ALPHA = 0.02
Fitted = tuple[list[Member], Site]
Fit = Callable[[Combine], Fitted]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    members = opened(forge(tmp_path_factory.mktemp("one") / "bundle"))
    return members, learnt(members, noise(60_000, seed=1))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A network and statistics beside it, in both ways to combine them."""
    made: dict[Combine, Fitted] = {}
    for combine in ("min_p", "fisher"):
        folder = tmp_path_factory.mktemp(combine) / "bundle"
        members = opened(forge(folder, embeds=True, statistics=True, combine=combine))
        made[combine] = members, learnt(members, noise(60_000, seed=1))
    return made.__getitem__


def judged(judge: Judge, units: list[Heard]) -> Judgement:
    judge.reset()
    for unit in units:
        judge.push(unit.vectors)
    return judge.judge()


def test_one_member_is_its_detector_and_its_calibration(one: Fitted) -> None:
    (member,), site = one
    judge = Judge([member], site, ALPHA)
    learnt_of = site.members["member-0"]
    detector = build(member.spec.detector).fit(learnt_of.bank)
    units = heard([member], noise(WINDOW, seed=2))
    pool = Pool(member.spec.pooling, member.size)
    judge.reset()
    for count, unit in enumerate(units, start=1):
        judge.push(unit.vectors)
        pool.push(unit.vectors[0])
        calibration = Calibrations(learnt_of.scores).of(count)
        score = detector.score(pool.vector())
        p_value = calibration.p_value(score)
        assert judge.judge() == Judgement(
            score, p_value, calibration.threshold(ALPHA), (p_value,), 0
        )
        assert (judge.count, judge.full) == (count, count == UNITS)
        assert judge.nearest() == detector.nearest(pool.vector())
    judge.reset()
    assert judge.count == 0


@pytest.mark.parametrize("combine", ["min_p", "fisher"])
def test_several_members_are_one_statistic_with_its_own_calibration(
    two: Fit, combine: Combine
) -> None:
    members, site = two(combine)
    judge = Judge(members, site, ALPHA)
    held_out = [
        HeldOut(site.members[m.spec.name].scores, m.spec.detector.floor)
        for m in members
    ]
    alone = [Judge([member], site, ALPHA) for member in members]
    units = heard(members, whine(WINDOW, SMALL.rate_hz, seed=3))
    for count in range(1, UNITS + 1):
        found = judged(judge, units[:count])
        each = [
            judged(a, [replace(u, vectors=u.vectors[i : i + 1]) for u in units[:count]])
            for i, a in enumerate(alone)
        ]
        calibration = joint(held_out, combine).of(count)
        assert found.parts == tuple(e.p_value for e in each)
        assert found.worst == int(np.argmin(found.parts))
        assert found.score == statistic(found.parts, combine)
        assert found.p_value == calibration.p_value(found.score)
        assert found.threshold == calibration.threshold(ALPHA)
        assert judge.nearest() == alone[found.worst].nearest()


@pytest.mark.parametrize("combine", ["min_p", "fisher"])
def test_normal_sound_is_a_hit_as_often_as_promised(two: Fit, combine: Combine) -> None:
    members, site = two(combine)
    judge = Judge(members, site, ALPHA)
    windows = 150
    step = WINDOW // SHIFT + 1
    units = heard(members, noise(windows * step * SHIFT + SPAN, seed=77))
    p_values = np.array(
        [
            judged(judge, units[i * step : i * step + UNITS]).p_value
            for i in range(windows)
        ]
    )
    # About 38 windows were held out: their chance and that of these together.
    for p in (0.2, 0.5):
        spread = np.sqrt(p * (1 - p) * (1 / windows + 1 / 38))
        assert abs(np.mean(p_values <= p) - p) < 3 * spread


def test_the_threshold_is_where_the_p_value_is_alpha(two: Fit) -> None:
    members, site = two("fisher")
    judge = Judge(members, site, 0.3)
    units = heard(members, noise(40 * WINDOW, seed=5))
    hits = set()
    for first in range(0, len(units) - UNITS, UNITS):
        found = judged(judge, units[first : first + UNITS])
        assert (found.score > found.threshold) == (found.p_value <= 0.3)
        hits.add(found.score > found.threshold)
    assert hits == {True, False}


@pytest.mark.parametrize("detector", DETECTORS, ids=str)
def test_every_detector_from_learning_to_the_alarm(
    tmp_path: Path, detector: DetectorSpec
) -> None:
    """Learnt, saved, read and judged: the same, and a wrong sound is found."""
    members = opened(forge(tmp_path / "bundle", detector=detector))
    site = learnt(members, noise(40_000, seed=1))
    site.save(tmp_path / "site")
    again = Site.load(tmp_path / "site", members)
    well = heard(members, noise(WINDOW, seed=6))
    wrong = heard(members, whine(WINDOW, SMALL.rate_hz, seed=6))
    before, after = (Judge(members, s, ALPHA) for s in (site, again))
    for units in (well, wrong):
        assert judged(before, units) == judged(after, units)
        assert before.nearest() == after.nearest()
    assert judged(after, well).p_value > ALPHA >= judged(after, wrong).p_value
    rule = AlarmRule(1, 1, 0, 1)
    pipeline = Pipeline(members, again, rule, per_week=100_000)
    sound = whine(2 * WINDOW, SMALL.rate_hz, seed=6)
    last = [d for block in blocks(sound) for d in pipeline.step(block)][-1]
    assert last.event is not None
    explained = last.event.explanation
    row = int(explained.nearest_id.removeprefix("bank-"))
    assert row < len(site.bands)
    assert explained.bands[0].delta_db > 0


def clip(judge: Judge, members: list[Member], units: int, seed: int) -> list[Heard]:
    assert judge.units == UNITS
    return heard(members, noise(SPAN + (units - 1) * SHIFT, seed=seed))


@pytest.mark.parametrize(
    ("units", "windows"), [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (13, 3)]
)
def test_a_clip_is_judged_by_its_least_normal_window(
    one: Fitted, units: int, windows: int
) -> None:
    members, site = one
    judge = Judge(members, site, ALPHA)
    sound = clip(judge, members, units, seed=7)
    spans = [(at, at + UNITS) for at in range(0, units - UNITS + 1, UNITS // 2)]
    each = [judged(judge, sound[a:b]) for a, b in spans or [(0, units)]]
    found = judge_clip(judge, sound)
    assert found.windows == len(each) == windows
    least = max(each, key=lambda j: j.score)
    assert found.score == least.score
    assert found.p_value == min(1, windows * least.p_value)
    # The judge holds that window.
    assert judge.judge().score == least.score
    scores = Calibrations(site.members["member-0"].scores).of(min(units, UNITS))
    assert found.threshold == scores.threshold(ALPHA / windows)


def test_no_window_of_a_clip_reaches_across_silence(one: Fitted) -> None:
    members, site = one
    judge = Judge(members, site, ALPHA)
    sound = clip(judge, members, 12, seed=8)
    deaf = replace(sound[5], verdict=Verdict.NO_SIGNAL, vectors=())
    broken = [*sound[:5], deaf, *sound[6:]]
    whole = judge_clip(judge, broken)
    assert whole.windows == 1
    assert whole.score == judged(judge, sound[6:]).score
    gap = [*sound[:7], replace(sound[7], gap=True), *sound[8:]]
    assert judge_clip(judge, gap).score == judged(judge, sound[:6]).score
    # Without a whole window the last units that hang together count.
    short = [*sound[:3], deaf, *sound[4:6], deaf]
    assert judge_clip(judge, short).score == judged(judge, sound[4:6]).score


def test_a_silent_clip_cannot_be_judged(one: Fitted) -> None:
    members, site = one
    judge = Judge(members, site, ALPHA)
    deaf = [
        replace(unit, verdict=Verdict.NO_SIGNAL, vectors=())
        for unit in clip(judge, members, 3, seed=9)
    ]
    with pytest.raises(SoundError, match="no sound that can be a machine's"):
        judge_clip(judge, deaf)
