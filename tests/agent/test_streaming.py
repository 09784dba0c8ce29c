"""Streaming equals offline, bit for bit, from the samples to the decision."""

from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import Site
from asd_agent.capture.chunk import Chunk, Samples
from asd_agent.capture.feed import Feed
from asd_agent.capture.resample import Resampler
from asd_agent.features.spec import FeatureSpec, LogMelSpec, SecomSpec
from asd_agent.features.stream import units
from asd_agent.hearing import Heard, Hearing
from asd_agent.judge import Judge, judge_clip
from asd_agent.pipeline import Pipeline
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.scoring.calibration import Calibrations
from asd_agent.scoring.decision import Decision
from asd_agent.scoring.detector import build
from asd_agent.scoring.pooling import Pool, PoolingSpec
from support.bundles import forge
from support.sounds import Played, cut, learnt, noise, opened

RATE_HZ = 16_000

# Normalised as a trained front end is.
FRONT_ENDS: dict[str, FeatureSpec] = {
    "secom": SecomSpec(
        window=256,
        hop=128,
        unit_frames=8,
        unit_shift=4,
        mean_db=(-40.0,) * 128,
        std_db=(6.0,) * 128,
    ),
    "logmel": LogMelSpec(
        window=256,
        hop=128,
        unit_frames=8,
        unit_shift=4,
        n_mels=20,
        mean_db=(-60.0,) * 20,
        std_db=(3.0,) * 20,
    ),
    # Neither frames nor units overlap.
    "nyquist": SecomSpec(
        window=256,
        hop=256,
        unit_frames=3,
        unit_shift=3,
        drop="nyquist",
        mean_db=(-40.0,) * 128,
        std_db=(6.0,) * 128,
    ),
}
RULE = AlarmRule(2, 3, 0, 4)
BUDGET = 50_000.0
"""So many a week, that a second of sound can hold an alarm"""

Fitted = tuple[list[Member], Site]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fitted]:
    made = {}
    for name, spec in FRONT_ENDS.items():
        folder = tmp_path_factory.mktemp(name) / "bundle"
        pooling = PoolingSpec(kind="both", units=4)
        members = opened(forge(folder, spec, pooling, members=2, embeds=True))
        made[name] = (members, learnt(members, noise(4 * RATE_HZ, seed=11)))
    return made


def tape(rate_hz: int, seconds: float = 0.7) -> Samples:
    """Normal sound that soon turns wrong: as if heard around a corner."""
    count = int(rate_hz * seconds)
    sound = noise(count, seed=12)
    dull = np.convolve(sound, np.full(rate_hz // 1000, 1000 / rate_hz), mode="same")
    dull = (dull + 0.2 * sound).astype(np.float32)
    return np.concatenate([sound[: count // 3], dull[count // 3 :]])


def chunks(sound: Samples, rate_hz: int, sizes: "repeat[int] | list[int]") -> Played:
    return Played(Chunk(piece, rate_hz) for piece in cut(sound, sizes))


def hear(members: list[Member], source: Played) -> list[Heard]:
    hearing = Hearing(members)
    feed = Feed(source, RATE_HZ)
    return [heard for block in feed.blocks() for heard in hearing.hear(block)]


def decide(fitted: Fitted, source: Played) -> list[Decision]:
    members, site = fitted
    pipeline = Pipeline(members, site, RULE, BUDGET)
    feed = Feed(source, RATE_HZ)
    return [d for block in feed.blocks() for d in pipeline.step(block)]


def resampled(sound: Samples, rate_hz: int) -> Samples:
    """The whole of a sound at once."""
    return Resampler(rate_hz, RATE_HZ).push(sound, last=True)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_chunk_size_changes_no_decision(
    fitted: dict[str, Fitted], name: str, rate_hz: int
) -> None:
    sound = tape(rate_hz)
    whole = decide(fitted[name], chunks(sound, rate_hz, [len(sound)]))
    assert len(whole) > 6
    # What a source of 8 kHz lacks is not known: no machine can be blamed for it.
    told = "mic_suspect" if rate_hz < RATE_HZ else "anomalous"
    assert any(d.state.value == told for d in whole)
    assert all(d.p_value is not None for d in whole)
    for size in (1, 7, 512, 16_000):
        assert decide(fitted[name], chunks(sound, rate_hz, repeat(size))) == whole


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("name", FRONT_ENDS)
def test_units_and_embeddings_are_those_of_the_whole_recording(
    fitted: dict[str, Fitted], name: str, rate_hz: int
) -> None:
    members, _ = fitted[name]
    sound = tape(rate_hz)
    spec = members[0].spec.features
    expected = units(spec, resampled(sound, rate_hz))
    for size in (7, 512, len(sound)):
        found = hear(members, chunks(sound, rate_hz, repeat(size)))
        assert len(found) == len(expected)
        for i, (heard, unit) in enumerate(zip(found, expected, strict=True)):
            assert heard.end_sample == i * spec.shift_samples + spec.unit_samples
            for member, vector in zip(members, heard.vectors, strict=True):
                assert vector.tobytes() == member.embed(unit).tobytes()
            levels = members[0].groups.levels(unit)
            assert heard.levels.tobytes() == levels.tobytes()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_scores_are_those_of_an_evaluator(fitted: dict[str, Fitted], name: str) -> None:
    """Every window by hand: no stream, no pipeline."""
    (member, _), whole = fitted[name]
    learnt_of = whole.members["member-0"]
    site = replace(whole, members={"member-0": learnt_of})
    sound = tape(44_100)
    decisions = decide(([member], site), chunks(sound, 44_100, repeat(512)))
    found = units(member.spec.features, resampled(sound, 44_100))
    assert len(found) == len(decisions)
    detector = build(member.spec.detector).fit(learnt_of.bank)
    calibrations = Calibrations(learnt_of.scores)
    for past, decision in enumerate(decisions, start=1):
        pool = Pool(member.spec.pooling, member.size)
        for unit in found[max(0, past - 4) : past]:
            pool.push(member.embed(unit))
        score = detector.score(pool.vector())
        assert decision.score == score
        calibration = calibrations.of(min(past, 4))
        assert decision.p_value == calibration.p_value(score)


@pytest.mark.parametrize("combine", ["min_p", "fisher"])
def test_a_network_and_statistics_give_the_same_decisions(
    tmp_path: Path, combine: str
) -> None:
    folder = tmp_path / "both"
    spec, pooling = FRONT_ENDS["logmel"], PoolingSpec(units=4)
    forge(folder, spec, pooling, embeds=True, statistics=True, combine=combine)
    members = opened(folder)
    fitted = members, learnt(members, noise(4 * RATE_HZ, seed=11))
    sound = tape(44_100)
    whole = decide(fitted, chunks(sound, 44_100, [len(sound)]))
    assert {d.state.value for d in whole} >= {"normal", "anomalous"}
    for size in (7, 512, 16_000):
        assert decide(fitted, chunks(sound, 44_100, repeat(size))) == whole
    # Every window by hand: what a clip of these units alone is said to be.
    judge = Judge(members, fitted[1], 0.1)
    heard = hear(members, chunks(sound, 44_100, [len(sound)]))
    for past, decision in enumerate(whole, start=1):
        found = judge_clip(judge, heard[max(0, past - 4) : past])
        assert (found.score, found.p_value) == (decision.score, decision.p_value)


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(1, 9_000), max_size=12))
def test_no_cut_changes_a_decision(fitted: dict[str, Fitted], sizes: list[int]) -> None:
    sound = tape(44_100, 0.3)
    whole = decide(fitted["secom"], chunks(sound, 44_100, [len(sound)]))
    assert decide(fitted["secom"], chunks(sound, 44_100, sizes)) == whole


def test_the_default_front_end_changes_no_decision(tmp_path: Path) -> None:
    pooling = PoolingSpec(units=3)
    members = opened(forge(tmp_path / "b", SecomSpec(), pooling, embeds=True))
    fitted = members, learnt(members, noise(6 * RATE_HZ, seed=14))
    sound = tape(48_000, 4.0)
    whole = decide(fitted, chunks(sound, 48_000, [len(sound)]))
    assert len(whole) == 6
    for size in (512, 16_000):
        assert decide(fitted, chunks(sound, 48_000, repeat(size))) == whole


def test_a_live_source_gives_the_same_decisions(fitted: dict[str, Fitted]) -> None:
    sound = tape(16_000)
    played = [Chunk(piece, RATE_HZ) for piece in cut(sound, repeat(777))]
    once = decide(fitted["secom"], Played(played))
    assert decide(fitted["secom"], Played(played, live=True)) == once
