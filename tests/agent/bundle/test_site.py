"""What was learnt on site is there as it was written, or an error says why not."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from asd_agent.bundle.member import Member
from asd_agent.bundle.site import (
    Site,
    SiteMember,
    anew,
    is_learnt,
    read_info,
    sites_in,
)
from asd_agent.errors import SiteError
from asd_agent.scoring.detector import KnnSpec, LofSpec
from asd_agent.scoring.pooling import PoolingSpec
from support.bundles import forge
from support.sounds import NOW, learnt, noise, opened

INFO = '{"bundle": "b", "models": {"member-0": ""}, "learnt": "2026", "seconds": 1.0}'


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    return opened(forge(tmp_path_factory.mktemp("site") / "bundle"))


@pytest.fixture(scope="module")
def site(members: list[Member]) -> Site:
    return learnt(members, noise(20_000))


@pytest.fixture
def path(tmp_path: Path, site: Site) -> Path:
    path = Site.path(tmp_path, "pump", "forged-1")
    site.save(path)
    return path


def refusal(path: Path, members: list[Member]) -> str:
    with pytest.raises(SiteError) as caught:
        Site.load(path, members)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_the_order_of_axes_in_memory_does_not_matter(
    tmp_path: Path, site: Site, members: list[Member]
) -> None:
    turned = {
        name: SiteMember(np.asfortranarray(m.bank), np.asfortranarray(m.scores))
        for name, m in site.members.items()
    }
    path = Site.path(tmp_path, "pump", "forged-1")
    replace(site, bands=np.asfortranarray(site.bands), members=turned).save(path)
    found = Site.load(path, members)
    assert np.array_equal(found.bands, site.bands)
    for name, member in site.members.items():
        assert np.array_equal(found.members[name].bank, member.bank)
        assert np.array_equal(found.members[name].scores, member.scores, equal_nan=True)


def test_what_is_read_is_what_was_written(
    path: Path, site: Site, members: list[Member]
) -> None:
    found = Site.load(path, members)
    assert found.info == site.info
    assert found.info.learnt == NOW.isoformat()
    assert found.bands.tobytes() == site.bands.tobytes()
    for name, member in site.members.items():
        assert found.members[name].bank.tobytes() == member.bank.tobytes()
        assert found.members[name].scores.tobytes() == member.scores.tobytes()
    assert list(path.parent.iterdir()) == [path]


def test_nothing_learnt_yet(tmp_path: Path, members: list[Member]) -> None:
    path = Site.path(tmp_path, "pump", "forged-1")
    assert not is_learnt(path)
    assert "nothing has been learnt yet" in refusal(path, members)


def test_what_was_learnt_with_another_bundle_is_not_nothing(
    path: Path, site: Site, members: list[Member]
) -> None:
    """Else an update would take whatever the machine does now as normal."""
    other = path.with_name("forged-2.safetensors")
    assert is_learnt(other)
    said = refusal(other, members)
    assert "learnt with another bundle (forged-1). Learn the source again" in said
    site.save(path.with_name("forged-0.safetensors"))
    assert "(forged-0, forged-1)" in refusal(other, members)
    # Unless somebody asks for that.
    anew(other).touch()
    assert not is_learnt(other)
    assert "nothing has been learnt yet" in refusal(other, members)
    site.save(other)
    assert is_learnt(other)
    assert [p.stem for p in sites_in(path.parent)] == [f"forged-{i}" for i in range(3)]


def test_where_a_site_comes_from_can_be_read_alone(
    path: Path, site: Site, members: list[Member]
) -> None:
    info = replace(site.info, sound="sound-1", kept_s=0.5)
    replace(site, info=info).save(path)
    assert read_info(path) == info == Site.load(path, members).info
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SiteError, match="is damaged"):
        read_info(path)


def test_a_site_of_before_there_was_kept_sound(
    path: Path, members: list[Member]
) -> None:
    with safe_open(path, framework="numpy") as file:
        info = json.loads(file.metadata()["info"])
    del info["sound"], info["kept_s"]
    save_file(load_file(path), path, metadata={"info": json.dumps(info)})
    assert Site.load(path, members).info.sound == ""


@pytest.mark.parametrize("keep", [0, 7, 8, 100, 5000, -1])
def test_a_truncated_file(path: Path, members: list[Member], keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    assert is_learnt(path)
    assert "is damaged" in refusal(path, members)


@pytest.mark.parametrize("content", [b"\0" * 64, b"\xff" * 64, b"RIFF....WAVE" * 20])
def test_a_foreign_file(path: Path, members: list[Member], content: bytes) -> None:
    path.write_bytes(content)
    assert "is damaged" in refusal(path, members)


def test_a_folder_in_its_place(path: Path, members: list[Member]) -> None:
    path.unlink()
    path.mkdir()
    assert "is damaged" in refusal(path, members)


Tensors = dict[str, np.ndarray]
SCORES = "member-0/scores"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda t: t.pop("bands"), "no tensor 'bands'"),
        (lambda t: t.pop("member-0/bank"), "no tensor 'member-0/bank'"),
        (lambda t: t.update({SCORES: t[SCORES][:1].copy()}), "usable"),
        (lambda t: t.update({SCORES: t[SCORES][:, 1:].copy()}), "usable"),
        (lambda t: t.update({SCORES: t[SCORES] * np.float32(np.nan)}), "usable"),
        (lambda t: t.update({SCORES: t[SCORES] + np.float32(np.inf)}), "usable"),
        (lambda t: t.update({SCORES: t[SCORES].astype(np.float64)}), "usable"),
        (lambda t: t.update({SCORES: np.array(1, np.float32)}), "usable"),
        (lambda t: t.update({"member-0/bank": t["bands"]}), "usable"),
        (lambda t: t.update({"bands": t["bands"][:, :3].copy()}), "usable"),
        (lambda t: t.update({"bands": t["bands"][:3].copy()}), "different numbers"),
    ],
)
def test_tensors_that_cannot_be(
    path: Path,
    members: list[Member],
    change: Callable[[Tensors], object],
    what: str,
) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata=metadata)
    assert what in refusal(path, members)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"info": ""},
        {"info": "[]"},
        {"info": "{}"},
        {"info": INFO.replace('{"member-0": ""}', "[]")},
        {"info": INFO.replace("1.0", '"long"')},
    ],
)
def test_information_that_cannot_be(
    path: Path, members: list[Member], metadata: dict[str, str] | None
) -> None:
    save_file(load_file(path), path, metadata=metadata)
    assert "is damaged" in refusal(path, members)


def test_what_was_learnt_with_another_model(
    path: Path, tmp_path: Path, members: list[Member]
) -> None:
    other = opened(forge(tmp_path / "other", embeds=True))
    assert "another model (forged-1)" in refusal(path, other)
    more = opened(forge(tmp_path / "more", members=2))
    assert "another model" in refusal(path, more)


@pytest.mark.parametrize(
    "change",
    [
        {"detector": LofSpec()},
        {"detector": KnnSpec(k=2)},
        {"pooling": PoolingSpec(kind="std", units=6)},
        {"pooling": PoolingSpec(units=6, unit_norm=False)},
    ],
    ids=str,
)
def test_what_was_learnt_with_another_way_to_score(
    path: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    other = opened(forge(tmp_path / "other", **change))
    assert "another way to score (forged-1)" in refusal(path, other)


def test_members_that_were_not_calibrated_together(tmp_path: Path) -> None:
    members = opened(forge(tmp_path / "two", members=2))
    path = tmp_path / "site"
    site = learnt(members, noise(20_000))
    one, other = site.members.values()
    # Each knows two windows, but no two the same.
    apart = [np.full_like(one.scores, np.nan) for _ in range(2)]
    apart[0][:2] = one.scores[:2]
    apart[1][1:3] = other.scores[1:3]
    for first, second in ((one.scores, other.scores[:-1]), tuple(apart)):
        wrong = {
            "member-0": replace(one, scores=first),
            "member-1": replace(other, scores=second),
        }
        replace(site, members=wrong).save(path)
        assert "not calibrated with the same windows" in refusal(path, members)


def test_a_folder_that_cannot_be_written(tmp_path: Path, site: Site) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SiteError, match="cannot be written"):
        site.save(Site.path(tmp_path / "file", "pump", "forged-1"))
    with pytest.raises(SiteError, match="cannot be written"):
        site.save(Site.path(tmp_path / ("x" * 300), "pump", "forged-1"))


def test_a_folder_that_cannot_be_looked_into(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="cannot be read"):
        is_learnt(tmp_path / ("x" * 300) / "site")
    (tmp_path / "file").write_text("x")
    assert not is_learnt(tmp_path / "file" / "site")


def test_an_interrupted_write_leaves_the_old_site(
    path: Path, members: list[Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()
    newer = learnt(members, noise(30_000, seed=9))

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(SiteError, match="No space left"):
        newer.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    newer.save(path)
    assert Site.load(path, members).info.seconds == newer.info.seconds
