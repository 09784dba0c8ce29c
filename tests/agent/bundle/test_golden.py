"""The golden numbers: what they are, and that others are found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load, save

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.golden import Golden, expected
from asd_agent.bundle.manifest import FileTolerance, GoldenSpec
from asd_agent.bundle.member import Member, open_members, ways
from asd_agent.errors import BundleError
from asd_agent.features.stream import units
from asd_agent.scoring.calibration import Calibration
from asd_agent.scoring.detector import DetectorSpec
from asd_agent.scoring.pooling import PoolingSpec
from support.bundles import (
    DETECTORS,
    GOLDEN,
    MODEL,
    SIZE,
    SMALL,
    clips,
    forge,
    network,
    reforge,
)

Tensors = dict[str, NDArray[Any]]
KEY = f"member-0/{MODEL.file}"
FEATURES, VECTOR, POOLED = "features/member-0", f"vector/{KEY}", f"pooled/{KEY}"
SCORE, P_VALUE = f"score/{KEY}", f"p_value/{KEY}"
CLIPS, UNITS = 4, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle", embeds=True)


def tensors_of(folder: Path) -> Tensors:
    return {k: v.copy() for k, v in load((folder / GOLDEN).read_bytes()).items()}


def change(folder: Path, how: Callable[[Tensors], object]) -> None:
    """Change tensors and the hash with them, as a careless builder would."""
    tensors = tensors_of(folder)
    how(tensors)
    reforge(folder, GOLDEN, save(tensors))


def members(folder: Path) -> list[Member]:
    """Open members without testing them."""
    bundle = Bundle.open(folder)
    return [
        way.open() for spec in bundle.manifest.members for way in ways(bundle, spec)
    ]


def refusal(folder: Path) -> BundleError:
    """Why a bundle is not opened."""
    with pytest.raises(BundleError) as caught:
        open_members(Bundle.open(folder))
    return caught.value


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    wide = vectors.astype(np.float64)
    found: NDArray[Any] = wide / np.linalg.norm(wide, axis=-1, keepdims=True)
    return found


def test_the_numbers_are_those_of_a_small_site(folder: Path) -> None:
    golden = tensors_of(folder)
    (member,) = members(folder)
    np.testing.assert_array_equal(golden["audio"], clips(SMALL))
    heard = np.stack([units(SMALL, c.astype(np.float32) / 32768) for c in clips(SMALL)])
    assert heard.shape[:2] == (CLIPS, UNITS)
    np.testing.assert_array_equal(golden[FEATURES], heard[:, 0][:, :, [0, 2, 4, 7]])
    vectors = np.stack([[member.embed(u) for u in clip] for clip in heard])
    np.testing.assert_array_equal(golden[VECTOR], vectors)
    # The window of a clip is the mean of its units' directions.
    one = unit(vectors)
    np.testing.assert_allclose(golden[POOLED], one.mean(axis=1), atol=1e-6)
    # The first two units are learnt, the last two are judged: the first of them,
    # then both.
    bank = unit(one[:, :2].mean(axis=1))
    for length, window in enumerate([one[:, 1], one[:, 1:].mean(axis=1)]):
        distances = 1 - unit(window) @ bank.T
        known = distances.min(axis=1)
        new = (distances + 9 * np.eye(CLIPS)).min(axis=1)
        np.testing.assert_allclose(golden[SCORE][0, :, length], known, atol=1e-6)
        np.testing.assert_allclose(golden[SCORE][1, :, length], new, atol=1e-6)
        for clip, score in enumerate(new):
            others = Calibration().fit(np.delete(known, clip))
            wanted = others.p_value(float(score))
            assert golden[P_VALUE][clip, length] == pytest.approx(wanted, rel=1e-3)
    assert golden[SCORE].shape == (2, CLIPS, UNITS - 1)
    assert set(golden) == {"audio", FEATURES, VECTOR, POOLED, SCORE, P_VALUE}


def test_members_that_share_a_front_end_share_its_features(tmp_path: Path) -> None:
    golden = tensors_of(forge(tmp_path / "two", members=2, statistics=True))
    names = {name.partition("/")[0] for name in golden}
    assert names == {"audio", "features", "vector", "pooled", "score", "p_value"}
    assert [name for name in golden if "features" in name] == [FEATURES]
    assert golden["vector/statistics"].shape[:2] == (CLIPS, UNITS)


@pytest.mark.parametrize("kind", ["mean", "std", "both"])
@pytest.mark.parametrize("detector", DETECTORS, ids=lambda spec: spec.kind)
@pytest.mark.parametrize("embeds", [False, True])
def test_every_kind_of_member_repeats_its_numbers(
    tmp_path: Path, detector: DetectorSpec, kind: Any, embeds: bool
) -> None:
    pooling = PoolingSpec(kind=kind, units=4, unit_norm=embeds)
    folder = forge(tmp_path / "b", pooling=pooling, detector=detector, embeds=embeds)
    bundle = Bundle.open(folder)
    proof = Golden.open(bundle).check(*members(folder))
    what = ["features", "vector", "pooled", "score", "p_value"]
    assert [row.what for row in proof.rows] == what
    # Stored as float32: that is all by which they differ.
    assert max(row.difference for row in proof.rows) < 1e-5
    proof.require()


def test_clips_of_a_single_unit_are_enough(tmp_path: Path) -> None:
    pooling = PoolingSpec(kind="std", units=4)
    folder = forge(tmp_path / "b", embeds=True, pooling=pooling)
    short = clips(SMALL)[:3, : SMALL.unit_samples]
    tensors = expected(short, members(folder))
    assert tensors[SCORE].shape == (2, 3, 1)
    reforge(folder, GOLDEN, save(tensors))
    assert len(open_members(Bundle.open(folder))) == 1


def _cut(name: str) -> Callable[[Tensors], object]:
    return lambda t: t.update({name: t[name][:-1].copy()})


def _add(name: str, value: float) -> Callable[[Tensors], object]:
    return lambda t: t.update({name: t[name] + np.asarray(value, t[name].dtype)})


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (_add(FEATURES, 0.01), "features of member-0 differ by 0.01"),
        (_add("audio", 500), "features of member-0 differ"),
        (_add(VECTOR, 1), f"unit vectors of {MODEL.file} differ"),
        (_add(POOLED, 0.1), f"pooled vectors of {MODEL.file} differ"),
        (_add(SCORE, 0.1), f"scores of {MODEL.file} differ by 0.1"),
        (_add(P_VALUE, 1.0), f"p-values of {MODEL.file} differ by"),
    ],
)
def test_other_numbers_are_refused(
    folder: Path, how: Callable[[Tensors], object], what: str
) -> None:
    change(folder, how)
    error = refusal(folder)
    assert error.reason == "differs"
    assert what in str(error)
    assert "bundle.runtime" in str(error)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        (_add(FEATURES, np.nan), f"{FEATURES} holds what is not a number"),
        (_cut(FEATURES), f"{FEATURES} is float32 of shape (3, 128, 4)"),
        (_cut(VECTOR), f"{VECTOR} is float32 of shape (3, 3, 16)"),
        (_cut(SCORE), f"{SCORE} is float32"),
        (lambda t: t.update({SCORE: t[SCORE].astype(np.float64)}), "is float64"),
        (lambda t: t.update(audio=t["audio"][0]), "audio is int16 of shape"),
        (lambda t: t.update(audio=t["audio"] / 32768), "audio is float64 of shape"),
        (lambda t: t.update(audio=t["audio"][:, :99].copy()), "clips of 99 samples"),
        (lambda t: t.update(audio=t["audio"][:, :0].copy()), "clips of 0 samples"),
        (lambda t: t.update(audio=t["audio"][:2].copy()), "2 clips, expected 3 to"),
        (lambda t: t.update(audio=np.zeros((65, 9), np.int16)), "65 clips, expected"),
        *[
            (lambda t, name=name: t.pop(name), f"holds no tensor {name!r}")
            for name in ("audio", FEATURES, VECTOR, POOLED, SCORE, P_VALUE)
        ],
    ],
)
def test_numbers_that_no_exporter_writes_are_refused(
    folder: Path, how: Callable[[Tensors], object], what: str
) -> None:
    change(folder, how)
    error = refusal(folder)
    assert error.reason == "malformed"
    assert GOLDEN in str(error)
    assert what in str(error)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(at=st.integers(0, 700), piece=st.binary(min_size=1, max_size=8))
def test_bytes_that_are_wrong_never_break_it(
    folder: Path, at: int, piece: bytes
) -> None:
    raw = (folder / GOLDEN).read_bytes()
    reforge(folder, GOLDEN, raw[:at] + piece + raw[at + len(piece) :])
    try:
        open_members(Bundle.open(folder))
    except BundleError as error:
        assert GOLDEN in str(error)  # noqa: PT017 - most bytes are not looked at
    finally:
        reforge(folder, GOLDEN, raw)


@pytest.mark.parametrize("raw", [b"", b"{}", bytes(8), b"\xff" * 100])
def test_bytes_that_are_no_tensors(folder: Path, raw: bytes) -> None:
    reforge(folder, GOLDEN, raw)
    error = refusal(folder)
    assert error.reason == "malformed"
    assert f"{GOLDEN}: not readable" in str(error) or "no tensor" in str(error)


def test_every_member_is_tested(tmp_path: Path) -> None:
    folder = forge(tmp_path / "two", members=2)
    change(folder, _add("vector/member-1", 0.1))
    assert "unit vectors of member-1 differ by 0.1" in str(refusal(folder))


def test_levels_are_held_to_a_hundredth_of_a_decibel(tmp_path: Path) -> None:
    folder = forge(tmp_path / "plain")
    change(folder, _add("vector/member-0", 0.005))
    assert len(open_members(Bundle.open(folder))) == 1
    change(folder, _add("vector/member-0", 0.01))
    assert "unit vectors of member-0 differ by 0.015" in str(refusal(folder))


def test_a_file_has_tolerances_of_its_own(folder: Path) -> None:
    bundle = Bundle.open(folder)
    change(folder, _add(SCORE, 0.05))

    def differs(golden: GoldenSpec) -> list[str]:
        manifest = bundle.manifest.model_copy(update={"golden": golden})
        found = Golden(tensors_of(folder), manifest).check(*members(folder))
        return [row.what for row in found.rows if not row.ok]

    loose = FileTolerance(score=0.1)
    assert differs(GoldenSpec()) == ["score"]
    assert differs(GoldenSpec(score=0.1)) == []
    assert differs(GoldenSpec(files={MODEL.file: loose})) == []
    assert differs(GoldenSpec(files={"model.int8.tflite": loose})) == ["score"]
    strict = FileTolerance(score=0.01)
    assert differs(GoldenSpec(score=0.1, files={MODEL.file: strict})) == ["score"]


def test_differences_within_the_tolerance_are_taken(folder: Path) -> None:
    change(folder, _add(FEATURES, 5e-4))
    change(folder, _add(SCORE, 0.01))
    change(folder, lambda t: t.update({P_VALUE: t[P_VALUE] * np.float32(1.1)}))
    assert len(open_members(Bundle.open(folder))) == 1


def not_a_number() -> bytes:
    """The network with a weight that is none."""
    model = onnx.load_from_string(network(SMALL.unit_shape))
    weights = model.graph.initializer[1]
    values = numpy_helper.to_array(weights).copy()
    values[0, 0] = np.nan
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    content: bytes = model.SerializeToString()
    return content


def test_what_is_not_a_number_is_refused(folder: Path) -> None:
    reforge(folder, MODEL.file, not_a_number())
    error = refusal(folder)
    assert error.reason == "not_finite"
    assert f"unit vectors of {MODEL.file} differ by nan" in str(error)


def test_what_is_not_a_number_is_never_written(folder: Path) -> None:
    reforge(folder, MODEL.file, not_a_number())
    with pytest.raises(BundleError, match="gives what is not a number") as caught:
        expected(clips(SMALL), members(folder))
    assert caught.value.reason == "not_finite"


def test_another_network_is_refused(folder: Path) -> None:
    reforge(folder, MODEL.file, network(SMALL.unit_shape, seed=5))
    assert f"unit vectors of {MODEL.file} differ" in str(refusal(folder))


def test_the_size_of_a_vector_is_part_of_it(folder: Path) -> None:
    (member,) = members(folder)
    assert tensors_of(folder)[VECTOR].shape == (CLIPS, UNITS, SIZE)
    other = replace(member, spec=member.spec.model_copy(update={"name": "other"}))
    names = set(expected(clips(SMALL), [member, other]))
    assert f"vector/other/{MODEL.file}" in names
