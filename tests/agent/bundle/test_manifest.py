"""What a manifest may say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, parse
from asd_agent.errors import BundleError
from asd_agent.scoring.detector import DetectorSpec, MahalanobisSpec
from support.bundles import DETECTORS, GOLDEN, MODEL, forge
from support.sounds import opened

Json = dict[str, Any]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = forge(
        tmp_path_factory.mktemp("manifest") / "bundle", members=2, embeds=True
    )
    return (folder / "manifest.json").read_text()


def test_it_survives_being_written(text: str) -> None:
    manifest = parse(text.encode())
    assert parse(manifest.model_dump_json().encode()) == manifest


@pytest.mark.parametrize("detector", DETECTORS, ids=str)
@pytest.mark.parametrize("combine", ["min_p", "fisher"])
def test_every_detector_and_combination_survives(
    tmp_path: Path, detector: DetectorSpec, combine: str
) -> None:
    folder = forge(tmp_path / "b", detector=detector, statistics=True, combine=combine)
    manifest = parse((folder / "manifest.json").read_bytes())
    assert manifest.combine == combine
    assert [m.detector for m in manifest.members] == [detector, MahalanobisSpec()]
    assert parse(manifest.model_dump_json().encode()) == manifest
    assert [m.combine for m in opened(folder)] == [combine] * 2


def test_what_older_manifests_do_not_say(text: str) -> None:
    old = json.loads(text)
    del old["combine"], old["golden"]["vector"]
    for member in old["members"]:
        member["detector"] = {"kind": "knn", "k": 1}
        del member["pooling"]["unit_norm"]
    assert parse(json.dumps(old).encode()) == parse(text.encode())


def _member(change: Callable[[Json], object]) -> Callable[[Json], object]:
    return lambda manifest: change(manifest["members"][1])


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda m: m.update(colour="red"), r"manifest\.json: colour: Extra inputs"),
        (lambda m: m["golden"].update(x=1), r"golden\.x: Extra inputs"),
        (lambda m: m.update(schema_version=2), r"schema_version: Input should be 1"),
        (lambda m: m.pop("licence"), r"licence: Field required"),
        (lambda m: m.update(version=0), r"version: "),
        (lambda m: m.update(id="../x"), r"id: "),
        (lambda m: m.update(members=[]), r"members: "),
        (lambda m: m["files"].pop(GOLDEN), "does not list golden.safetensors"),
        (lambda m: m["files"].pop(MODEL.file), f"does not list {MODEL.file}"),
        (lambda m: m["files"].update({"../x": m["files"][GOLDEN]}), "files"),
        (lambda m: m["files"].update({"/etc/x": m["files"][GOLDEN]}), "files"),
        (lambda m: m["files"][GOLDEN].update(bytes=2**40), "bytes: "),
        (lambda m: m["files"][GOLDEN].update(sha256="0" * 63), "sha256: "),
        (
            lambda m: m["files"].update(
                {f"f{i}": m["files"][GOLDEN] for i in range(15)}
            ),
            "files: ",
        ),
        (lambda m: m.update(combine="mean"), "combine: "),
        (_member(lambda m: m["detector"].update(kind="svm")), "detector: "),
        (_member(lambda m: m["detector"].update(x=1)), "detector.knn.x: Extra"),
        (_member(lambda m: m.update(name="member-0")), "the same name"),
        (_member(lambda m: m["pooling"].update(units=7)), "the same windows"),
        (_member(lambda m: m["features"].update(unit_shift=2)), "the same windows"),
        (_member(lambda m: m["features"].update(unit_frames=12)), "the same windows"),
        (_member(lambda m: m["features"].update(rate_hz=8000)), "the same windows"),
        (_member(lambda m: m["features"].update(hop=9999)), r"members\.1\.features"),
        (_member(lambda m: m["detector"].update(k=0)), r"members\.1\.detector\.k"),
        (_member(lambda m: m["features"].update(kind="mfcc")), r"members\.1\.features"),
    ],
)
def test_a_broken_rule_is_named(
    text: str, change: Callable[[Json], object], rule: str
) -> None:
    manifest = json.loads(text)
    change(manifest)
    with pytest.raises(BundleError, match=rule):
        parse(json.dumps(manifest).encode())


def test_members_may_differ_in_what_they_hear(text: str) -> None:
    manifest = json.loads(text)
    features = manifest["members"][1]["features"]
    features.pop("drop")
    features.update(kind="logmel", n_mels=20, low_hz=0.0, high_hz=None)
    manifest["members"][1]["embedder"] = None
    assert parse(json.dumps(manifest).encode()).members[1].features.bands == 20


def test_too_many_bytes_are_not_parsed() -> None:
    with pytest.raises(BundleError, match="at most"):
        parse(b"[" * (MAX_MANIFEST_BYTES + 1))


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json: "):
        parse(raw)


@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_a_refusal(raw: bytes) -> None:
    with pytest.raises(BundleError):
        parse(raw)


def test_the_file_is_the_one_that_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert parse((tmp_path / "manifest.json").read_bytes()).id == "forged-1"
