"""Learning: no window judges itself, and what is promised is what there is."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent import learn
from asd_agent.bundle.member import Member
from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SiteError
from asd_agent.hearing import Heard
from asd_agent.learn import Learner, Support
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.scoring.bank import KnnBank
from asd_agent.scoring.calibration import Calibrations
from asd_agent.scoring.detector import MahalanobisSpec
from asd_agent.scoring.mahalanobis import Mahalanobis
from asd_agent.scoring.pooling import Pool
from support.bundles import SMALL, forge
from support.sounds import NOW, heard, learnt, noise, opened

SPAN, SHIFT = SMALL.unit_samples, SMALL.shift_samples
UNITS = 6
WINDOW = SPAN + (UNITS - 1) * SHIFT
RULE = AlarmRule(3, 5, 0, 10)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    return opened(forge(tmp_path_factory.mktemp("learn") / "bundle"))


def unit(vector: tuple[float, ...], **changes: object) -> Heard:
    values: dict[str, object] = {
        "end_sample": 0,
        "vectors": (np.array(vector, np.float32),),
        "levels": np.zeros(24, np.float32),
        "level_dbfs": -20.0,
        "verdict": Verdict.OK,
        "gap": False,
    }
    return Heard(**(values | changes))  # type: ignore[arg-type]  # a table of fields


def units(count: int, size: int, seed: int = 0) -> list[Heard]:
    vectors = np.random.default_rng(seed).normal(size=(count, size))
    return [unit(tuple(vector)) for vector in vectors]


def learner_of(members: list[Member], segments: list[list[Heard]]) -> Learner:
    learner = Learner(members)
    for segment in segments:
        for some in segment:
            learner.add(some)
        learner.end_segment()
    return learner


def pooled(members: list[Member], some: list[Heard]) -> np.ndarray:
    pool = Pool(members[0].spec.pooling, members[0].size)
    for one in some:
        pool.push(one.vectors[0])
    return pool.vector()


def test_every_window_enters_the_bank(members: list[Member]) -> None:
    sound = noise(WINDOW + 9 * SHIFT)
    site = learnt(members, sound)
    bank = site.members["member-0"].bank
    assert len(bank) == 10
    assert len(site.bands) == 10
    all_heard = heard(members, sound)
    for i in (0, 4, 9):
        window = pooled(members, all_heard[i : i + UNITS])
        assert bank[i].tobytes() == window.tobytes()
        levels = np.mean([h.levels for h in all_heard[i : i + UNITS]], axis=0)
        np.testing.assert_allclose(site.bands[i], levels, rtol=1e-6)
    assert site.info.bundle == "forged-1"
    assert site.info.learnt == "2026-01-02T03:04:05+00:00"
    assert site.info.seconds == pytest.approx(len(sound) / SMALL.rate_hz)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_no_window_is_scored_against_what_it_overlaps(
    members: list[Member], lengths: list[int]
) -> None:
    segments = [
        units(length, members[0].size, seed=i) for i, length in enumerate(lengths)
    ]
    site = learner_of(members, segments).site("x", NOW).members["member-0"]
    starts = [
        (s, first, first + min(UNITS, length))
        for s, length in enumerate(lengths)
        for first in range(0, max(1, length - UNITS + 1))
    ]
    held = [(s, a, b) for s, a, b in starts if a % UNITS == 0]
    assert site.scores.shape == (len(held), UNITS)
    assert len(held) <= learn.FOLDS, "then each window has a bank of its own"
    for row, (s, a, b) in enumerate(held):
        free = _away(starts, s, a - UNITS, b + UNITS) or _away(starts, s, a, b)
        bank = KnnBank().fit(site.bank[free])
        for past in range(1, UNITS + 1):
            if past > b - a:
                assert np.isnan(site.scores[row, past - 1])
                continue
            query = pooled(members, segments[s][a : a + past])
            assert site.scores[row, past - 1] == np.float32(bank.score(query))


def _away(starts: list[tuple[int, int, int]], s: int, a: int, b: int) -> list[int]:
    """Windows that share no unit with ``[a, b)`` of segment `s`."""
    return [
        i
        for i, (other, first, past) in enumerate(starts)
        if other != s or past <= a or first >= b
    ]


def test_a_detector_is_told_how_many_windows_do_not_overlap(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    members = opened(forge(folder, detector=MahalanobisSpec()))
    segment = units(10 * UNITS, members[0].size)
    site = learner_of(members, [segment]).site("x", NOW).members["member-0"]
    assert (len(site.bank), site.independent) == (9 * UNITS + 1, 10)
    # Row 4: units 24 to 30, a window's length on both sides left out.
    free = [i for i in range(len(site.bank)) if i + UNITS <= 18 or i >= 36]
    detector = Mahalanobis().fit(site.bank[free], 7)
    query = pooled(members, segment[24:30])
    assert site.scores[4, -1] == np.float32(detector.score(query))


def test_with_many_windows_few_banks_serve_and_few_are_scored_at_every_length(
    members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = [units(10 * UNITS, members[0].size)]
    alone = learner_of(members, sound).site("x", NOW).members["member-0"].scores
    monkeypatch.setattr(learn, "FOLDS", 5)
    monkeypatch.setattr(learn, "MAX_PARTIAL", 4)
    scores = learner_of(members, sound).site("x", NOW).members["member-0"].scores
    assert np.isfinite(scores[:, -1]).all()
    assert np.isfinite(scores).all(axis=1).tolist() == [i % 3 == 0 for i in range(10)]
    # A smaller bank finds nothing nearer.
    assert (scores[:, -1] >= alone[:, -1]).all()


def test_two_windows_are_the_least(members: list[Member]) -> None:
    rule = r"two windows of 0\.5 s, or two recordings, are the least"
    with pytest.raises(SiteError, match=rule):
        learnt(members, noise(WINDOW + (UNITS - 1) * SHIFT))
    with pytest.raises(SiteError, match=r"0\.0 s of usable sound are too little"):
        learnt(members, np.zeros(9 * WINDOW, np.float32))
    site = learnt(members, noise(WINDOW + UNITS * SHIFT))
    assert len(site.members["member-0"].scores) == 2


def test_a_short_recording_is_one_window_of_all_its_units(
    members: list[Member],
) -> None:
    short = [units(n, members[0].size, seed=n) for n in (1, 3)]
    site = learner_of(members, short).site("x", NOW).members["member-0"]
    assert site.bank.shape == (2, members[0].size)
    for row, some in zip(site.bank, short, strict=True):
        assert row.tobytes() == pooled(members, some).tobytes()
    assert len(site.scores) == 2


def test_gaps_and_silence_break_the_sound(members: list[Member]) -> None:
    learner = Learner(members)
    sound = units(40, members[0].size)
    sound[12] = unit(tuple(sound[12].vectors[0]), gap=True)
    sound[20] = unit((), verdict=Verdict.NO_SIGNAL, vectors=())
    # A fragment between two gaps is no window; nor is what the end cuts off.
    for gap in (30, 33, 38):
        sound[gap] = unit(tuple(sound[gap].vectors[0]), gap=True)
    for some in sound:
        learner.add(some)
    bank = learner.site("x", NOW).members["member-0"].bank
    # 12, 8 and 9 units that hang together.
    assert len(bank) == 7 + 3 + 4
    samples = (12 + 8 + 9) * SHIFT + 3 * (SPAN - SHIFT)
    assert learner.seconds == pytest.approx(samples / SMALL.rate_hz)


def test_clipped_sound_is_learnt(members: list[Member]) -> None:
    """A machine that always clips is normal when it does; see mic_suspect."""
    clipped = [
        unit(tuple(some.vectors[0]), verdict=Verdict.SUSPECT)
        for some in units(12, members[0].size)
    ]
    assert learner_of(members, [clipped]).seconds > 0


@pytest.mark.parametrize("segments", [1, 60])
def test_a_bank_is_never_longer_than_its_limit(
    members: list[Member], monkeypatch: pytest.MonkeyPatch, segments: int
) -> None:
    monkeypatch.setattr(learn, "MAX_BANK", 20)
    sound = [units(120 // segments, members[0].size, seed=i) for i in range(segments)]
    site = learner_of(members, sound).site("x", NOW)
    bank = site.members["member-0"].bank
    assert 10 <= len(bank) <= 20
    assert len(site.bands) == len(bank)
    assert len(np.unique(bank, axis=0)) == len(bank)


def test_each_member_learns_its_own(tmp_path: Path) -> None:
    members = opened(forge(tmp_path / "bundle", members=2, embeds=True))
    site = learnt(members, noise(20_000))
    assert set(site.members) == {"member-0", "member-1"}
    assert set(site.info.models.values()) == {members[0].model_sha256}
    one, other = site.members.values()
    np.testing.assert_array_equal(one.bank, other.bank)


def test_short_files_are_judged_by_windows_as_short(members: list[Member]) -> None:
    """Fewer units scatter more: whole windows would call them all anomalous."""
    site = learnt(members, noise(60 * SMALL.rate_hz, seed=1)).members["member-0"]
    bank, calibrations = KnnBank().fit(site.bank), Calibrations(site.scores)
    for units_ in (1, 2, UNITS):
        low, files = 0, 100
        for seed in range(files):
            short = heard(members, noise(SPAN + (units_ - 1) * SHIFT, seed=100 + seed))
            score = bank.score(pooled(members, short))
            low += calibrations.of(units_).p_value(score) <= 0.1
        assert low <= 0.25 * files, units_


def support_of(members: list[Member], seconds: int, budget: float) -> Support:
    learner = Learner(members)
    sound = noise(seconds * SMALL.rate_hz)
    for some in heard(members, sound):
        learner.add(some)
    return learner.support(learner.site("x", NOW), RULE, budget)


def test_support_is_where_extrapolation_ends(members: list[Member]) -> None:
    found = support_of(members, 30, 1.0)
    step_s = 3 * SHIFT / SMALL.rate_hz
    assert found.windows == 77
    assert found.per_week == RULE.alarms_per_week(1 / 78, step_s)
    # So many windows that 1 / (n + 1) is just alpha.
    windows = found.needed_s / (UNITS * SHIFT / SMALL.rate_hz)
    assert 1 / (windows + 1) == pytest.approx(RULE.alpha(1.0, step_s))
    assert support_of(members, 30, found.per_week * 1.01).needed_s < 30


def test_two_members_need_no_more_sound_than_one(
    members: list[Member], tmp_path: Path
) -> None:
    two = opened(forge(tmp_path / "bundle", members=2))
    one_s = support_of(members, 20, 1.0).needed_s
    assert support_of(two, 20, 1.0).needed_s == one_s
    assert support_of(two, 20, 1.0).per_week == support_of(members, 20, 1.0).per_week


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (1e9, "they support the budget of 1e+09 alarms a week."),
        (1.0, "The budget of 1 rests on an extrapolated tail until "),
    ],
)
def test_what_is_said_of_a_budget(
    members: list[Member], budget: float, words: str
) -> None:
    said = support_of(members, 30, budget).sentences(budget)
    assert said.startswith("learnt 30 s of sound, 77 windows that do not overlap; ")
    assert words in said


@pytest.mark.parametrize(
    ("seconds", "said"), [(119, "119 s"), (120, "2 min"), (7200, "2.0 h")]
)
def test_spans_are_said_as_people_say_them(seconds: float, said: str) -> None:
    support = Support(seconds=seconds, windows=9, per_week=2.0, needed_s=0.0)
    assert f"learnt {said} of sound" in support.sentences(3.0)


def test_a_later_window_of_the_same_sound_is_normal(members: list[Member]) -> None:
    """What is learnt judges sound that it has not heard as it promised."""
    site = learnt(members, noise(200_000, seed=1)).members["member-0"]
    later = learnt(members, noise(200_000, seed=2)).members["member-0"]
    bank = KnnBank().fit(site.bank)
    scores = np.array([bank.score(row) for row in later.bank[::UNITS]])
    over = np.mean(scores > np.quantile(site.scores[:, -1], 0.9))
    assert 0.03 < cast(float, over) < 0.2
