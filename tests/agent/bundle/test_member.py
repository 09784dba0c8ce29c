"""A device that computes other numbers refuses the bundle."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from asd_agent.errors import BundleError
from asd_agent.features.stream import units
from asd_agent.scoring.pooling import PoolingSpec
from support.bundles import GOLDEN, MODEL, SIZE, SMALL, forge, network, reforge
from support.sounds import noise, opened

Tensors = dict[str, NDArray[np.float32]]
FEATURES = "features/member-0"
EMBEDDING, SCORE = f"embedding/{MODEL.file}", f"score/{MODEL.file}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle", embeds=True)


def change_golden(folder: Path, change: Callable[[Tensors], object]) -> None:
    """Change tensors and the hash with them, as a careless builder would."""
    tensors = {k: v.copy() for k, v in load((folder / GOLDEN).read_bytes()).items()}
    change(tensors)
    reforge(folder, GOLDEN, save(tensors))


def test_a_member_embeds_units(folder: Path) -> None:
    (member,) = opened(folder)
    unit = units(SMALL, noise(SMALL.unit_samples))[0]
    assert member.embed(unit).shape == (SIZE,) == (member.size,)
    assert member.pooled_size == SIZE
    assert member.library.startswith("onnxruntime ")
    assert len(member.model_sha256) == 64


def test_without_a_network_levels_of_bands_stand_for_it(tmp_path: Path) -> None:
    pooling = PoolingSpec(kind="both", units=2, unit_norm=False)
    (member,) = opened(forge(tmp_path / "plain", pooling=pooling))
    unit = units(SMALL, noise(SMALL.unit_samples))[0]
    vector = member.embed(unit)
    groups = len(member.groups)
    levels = member.groups.levels(unit)
    np.testing.assert_allclose(vector[:groups], levels, atol=1e-4)
    np.testing.assert_array_equal(vector, member.groups.statistics(unit))
    assert (member.size, member.pooled_size) == (2 * groups, 4 * groups)
    assert (member.library, member.model_sha256) == ("numpy", "")


def _cut(name: str) -> Callable[[Tensors], object]:
    return lambda t: t.update({name: t[name][:-1].copy()})


def _add(name: str, value: float) -> Callable[[Tensors], object]:
    return lambda t: t.update({name: t[name] + np.float32(value)})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_add(FEATURES, 0.01), "features of member-0 differ by 0.01"),
        (_add(FEATURES, np.nan), "features of member-0 differ by nan"),
        (_cut(FEATURES), "features of member-0: "),
        (_add("audio", 0.5), "features of member-0 differ"),
        (lambda t: t.update(audio=t["audio"][:1000].copy()), "features of member-0: "),
        (lambda t: t.update(audio=t["audio"].reshape(2, -1)), "audio is float32 of"),
        (lambda t: t.update(audio=t["audio"].astype(np.float64)), "audio is float64"),
        (lambda t: t.update(audio=t["audio"][:0]), "features of member-0: "),
        (_add(EMBEDDING, 1), f"embeddings of {MODEL.file} differ"),
        (_cut(EMBEDDING), f"embeddings of {MODEL.file}: "),
        (_add(SCORE, 0.1), f"scores of {MODEL.file} differ by 0.1"),
        (_cut(SCORE), f"scores of {MODEL.file}"),
        (lambda t: t.pop(SCORE), f"no tensor '{SCORE}'"),
        (lambda t: t.pop("audio"), "no tensor 'audio'"),
    ],
)
def test_other_golden_numbers_are_refused(
    folder: Path, change: Callable[[Tensors], object], what: str
) -> None:
    change_golden(folder, change)
    with pytest.raises(BundleError) as caught:
        opened(folder)
    assert GOLDEN in str(caught.value)
    assert what in str(caught.value)


def test_every_member_is_tested(tmp_path: Path) -> None:
    folder = forge(tmp_path / "two", members=2)
    change_golden(folder, _add("features/member-1", 0.01))
    with pytest.raises(BundleError, match="features of member-1 differ"):
        opened(folder)


def test_other_vectors_without_a_network_are_refused(tmp_path: Path) -> None:
    folder = forge(tmp_path / "plain")
    change_golden(folder, _add("vector/member-0", 0.005))
    assert len(opened(folder)) == 1
    change_golden(folder, _add("vector/member-0", 0.01))
    with pytest.raises(BundleError, match=r"vectors of member-0 differ by 0\.015"):
        opened(folder)
    change_golden(folder, _cut("vector/member-0"))
    with pytest.raises(BundleError, match=r"vectors of member-0: "):
        opened(folder)
    change_golden(folder, lambda t: t.pop("vector/member-0"))
    with pytest.raises(BundleError, match="no tensor 'vector/member-0'"):
        opened(folder)


def test_differences_within_the_tolerance_are_taken(folder: Path) -> None:
    change_golden(folder, _add(FEATURES, 5e-4))
    change_golden(folder, _add(SCORE, 0.005))
    assert len(opened(folder)) == 1


def test_golden_numbers_that_are_no_tensors(folder: Path) -> None:
    reforge(folder, GOLDEN, b"\xff" * 100)
    with pytest.raises(BundleError, match=r"golden\.safetensors: not readable"):
        opened(folder)


def test_another_network_is_refused(folder: Path) -> None:
    reforge(folder, MODEL.file, network(SMALL.unit_shape, seed=5))
    with pytest.raises(BundleError, match=f"embeddings of {MODEL.file} differ"):
        opened(folder)


def test_a_network_for_other_units_is_refused(folder: Path) -> None:
    reforge(folder, MODEL.file, network((128, 9)))
    with pytest.raises(BundleError, match=MODEL.file):
        opened(folder)


def test_a_file_that_is_no_network_is_refused(folder: Path) -> None:
    reforge(folder, MODEL.file, b"not a network")
    with pytest.raises(BundleError, match=MODEL.file):
        opened(folder)
