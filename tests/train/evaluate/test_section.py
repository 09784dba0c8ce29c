"""Banks, domains and thresholds of one section, with vectors made by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asd_agent.capture.signal_health import Verdict
from asd_agent.errors import SiteError
from asd_agent.hearing import Heard
from asd_agent.scoring.detector import KnnSpec
from asd_agent.scoring.pooling import PoolingSpec
from asd_train.data.dcase import Clip, parse
from asd_train.evaluate.cache import Store, heard_of
from asd_train.evaluate.ear import Ear
from asd_train.evaluate.panel import Plan, plan_of
from asd_train.evaluate.section import Scored, judge_section
from asd_train.evaluate.threshold import gamma_threshold
from asd_train.scoring_spec import ScorerSpec, ScoringSpec

SIZE = 16


class Scene:
    """Clips that sound along one of two directions, with a little noise."""

    def __init__(self, folder: Path, ear: Ear) -> None:
        self.folder, self.ear = folder, ear
        self.rng = np.random.default_rng(3)
        self.heard: dict[Path, list[Heard]] = {}

    def clip(self, name: str, direction: int, noise: float = 0.05) -> Clip:
        path = self.folder / "fan" / ("train" if "train" in name else "test") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        vector = np.zeros(SIZE, np.float32)
        vector[direction] = 1
        self.heard[path] = [self._unit(i, vector, noise) for i in range(4)]
        return parse(path)

    def _unit(self, i: int, vector: NDArray[np.float32], noise: float) -> Heard:
        noisy = vector + noise * self.rng.normal(size=SIZE).astype(np.float32)
        plain = np.zeros(self.ear.members[1].size, np.float32)
        levels = np.full(len(self.ear.members[0].groups), -30, np.float32)
        return Heard(
            i, (noisy.astype(np.float32), plain), levels, -20, Verdict.OK, False
        )

    def store(self, clips: list[Clip]) -> Store:
        return heard_of(
            clips,
            lambda found: (self.heard[clip.path] for clip in found),
            path=self.folder / "cache.safetensors",
            sizes=[SIZE, self.ear.members[1].size],
            groups=len(self.ear.members[0].groups),
        )


def plan(ear: Ear, domains: str = "free") -> Plan:
    member = ScorerSpec(
        pooling=PoolingSpec(units=4), source=KnnSpec(), target=KnnSpec(k=2)
    )
    spec = ScoringSpec.model_validate({"members": [member], "domains": domains})
    return plan_of(ear, spec, "fan")


@pytest.fixture
def scene(tmp_path: Path, ear: Ear) -> tuple[Scene, list[Clip], list[Clip]]:
    made = Scene(tmp_path, ear)
    train = [
        made.clip(f"section_00_source_train_normal_{i:04}.wav", 0) for i in range(12)
    ] + [made.clip(f"section_00_target_train_normal_{i:04}.wav", 1) for i in range(3)]
    test = [
        made.clip(f"section_00_{domain}_test_{label}_{i:04}.wav", direction, noise)
        for domain, direction in (("source", 0), ("target", 1))
        for label, noise in (("normal", 0.05), ("anomaly", 0.5))
        for i in range(3)
    ]
    return made, train, test


def scores(found: list[Scored], domain: str, label: str) -> list[float]:
    return [
        s.score
        for s in found
        if (s.clip.split, s.clip.domain, s.clip.label) == ("test", domain, label)
    ]


@pytest.mark.parametrize("domains", ["named", "free"])
def test_anomalies_score_higher_in_both_domains(
    scene: tuple[Scene, list[Clip], list[Clip]], ear: Ear, domains: str
) -> None:
    made, train, test = scene
    found = judge_section(plan(ear, domains), train, test, made.store([*train, *test]))
    for domain in ("source", "target"):
        normal, anomalous = (
            scores(found, domain, label) for label in ("normal", "anomaly")
        )
        assert max(normal) < min(anomalous)
    assert [s.clip for s in found] == [*test, *train]
    assert all(s.decision for s in found if s.clip.label == "anomaly")
    assert sum(s.decision for s in found if s.clip.split == "train") <= 5


def test_named_and_free_differ_where_domains_do(
    scene: tuple[Scene, list[Clip], list[Clip]], ear: Ear
) -> None:
    made, train, test = scene
    # Sounds as the target does and says that it is of the source.
    test.append(made.clip("section_00_source_test_normal_0009.wav", 1))
    store = made.store([*train, *test])
    named = judge_section(plan(ear, "named"), train, test, store)[len(test) - 1]
    free = judge_section(plan(ear, "free"), train, test, store)[len(test) - 1]
    assert named.decision
    assert not free.decision
    unknown = [replace(clip, domain="") for clip in test]
    hidden = judge_section(plan(ear, "named"), train, unknown, store)[len(test) - 1]
    assert hidden.score == free.score


def test_one_domain_has_one_bank_and_the_scores_of_the_device(
    scene: tuple[Scene, list[Clip], list[Clip]], ear: Ear
) -> None:
    made, train, test = scene
    store = made.store([*train, *test])
    source = [clip for clip in train if clip.domain == "source"]
    found = judge_section(plan(ear), source, test, store)
    assert max(scores(found, "source", "normal")) < 0.05  # cosine distances
    assert min(scores(found, "target", "normal")) > 0.8
    held_out = np.array([s.score for s in found if s.clip.split == "train"])
    assert {s.threshold for s in found} == {gamma_threshold(held_out)}
    assert held_out.min() > 0


def test_no_label_of_a_test_clip_counts(
    scene: tuple[Scene, list[Clip], list[Clip]], ear: Ear
) -> None:
    made, train, test = scene
    store = made.store([*train, *test])
    told = judge_section(plan(ear), train, test, store)
    untold = judge_section(
        plan(ear), train, [replace(c, label="") for c in test], store
    )
    assert [s.score for s in told] == [s.score for s in untold]
    assert [s.threshold for s in told] == [s.threshold for s in untold]


def test_a_silent_clip_has_no_score(
    scene: tuple[Scene, list[Clip], list[Clip]], ear: Ear
) -> None:
    made, train, test = scene
    silent = test[0].path
    made.heard[silent] = [
        replace(unit, vectors=(), levels=unit.levels[:0], verdict=Verdict.NO_SIGNAL)
        for unit in made.heard[silent]
    ]
    found = judge_section(plan(ear), train, test, made.store([*train, *test]))
    assert np.isnan(found[0].score)
    assert np.isnan(found[0].p_value)
    assert not found[0].decision
    assert np.isfinite([s.score for s in found[1:]]).all()


def test_too_little_to_learn_from_names_the_section(
    scene: tuple[Scene, list[Clip], list[Clip]], ear: Ear
) -> None:
    made, train, test = scene
    with pytest.raises(SiteError, match=r"fan, section 00: .*too little"):
        judge_section(plan(ear), train[:1], test, made.store([*train, *test]))
