"""The comparison itself, and the agent's commands as it uses them, on this machine."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from arm64.compare import Clip, agreement, auc, ranks
from arm64.machine import CPUS, Here, cpuinfo
from arm64.sites import Plant, Trial
from support.bundles import SMALL, forge
from support.sounds import noise, wav, whine

SECONDS = 3
HERE = Here(Path(sys.prefix))


def test_ranks_are_shared_by_equal_values() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0.0, 2.5, 1.0]


def test_the_area_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(50) < 0.5
    scores = np.round(rng.normal(size=50), 1)  # with ties
    assert auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


def test_agreement_tells_a_moved_score_from_a_moved_order() -> None:
    def clips(*scores: float) -> dict[str, list[Clip]]:
        return {
            "pump": [Clip(score, score / 10, score > 2) for score in scores],
        }

    same = agreement(clips(1, 2, 3, 4), clips(1, 2, 3, 4))
    assert (same.rank, same.score, same.p_value) == (1, 0, 0)
    moved = agreement(clips(1, 2, 3, 4), clips(1, 2, 3, 5))
    assert moved.rank == pytest.approx(1)
    assert moved.p_value == pytest.approx(0.1)
    assert moved.p_value_mean == pytest.approx(0.025)
    swapped = agreement(clips(1, 2, 3, 4), clips(2, 1, 3, 4))
    assert swapped.rank == pytest.approx(0.8)


@pytest.mark.parametrize("cpu", CPUS)
def test_a_board_tells_its_part_number(cpu: str) -> None:
    text = cpuinfo(cpu)
    assert text.count("processor\t:") == 4
    assert f"CPU part\t: {CPUS[cpu]:#x}" in text
    assert ("asimddp" in text) == (cpu == "cortex-a76")


def test_a_machine_agrees_with_itself(tmp_path: Path) -> None:
    rate_hz = SMALL.rate_hz
    samples = SECONDS * rate_hz
    for i in range(3):
        sounds = {
            "train/section_00_source_train_normal": noise(samples, seed=i),
            "test/section_00_source_test_normal": noise(samples, seed=9 + i),
            "test/section_00_source_test_anomaly": whine(samples, rate_hz, seed=i),
        }
        for name, sound in sounds.items():
            wav(tmp_path / "sound" / "pump" / f"{name}_{i:04}.wav", sound, rate_hz)
    plant = Plant(tmp_path / "sound")
    bundle = forge(tmp_path / "bundle", embeds=True)
    first, second, third = (
        Trial(HERE, plant, bundle, "onnx", tmp_path / str(i)) for i in range(3)
    )
    first.learn()
    second.learn()
    third.take(first)
    said = first.judge()
    assert [clip.anomalous for clip in said["pump"]] == [True] * 3 + [False] * 3
    for other in (second.judge(), third.judge()):
        found = agreement(said, other)
        assert (found.rank, found.score, found.p_value) == (1, 0, 0)
        assert found.auc[0] == found.auc[1]
