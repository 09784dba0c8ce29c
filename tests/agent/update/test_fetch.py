"""A bundle is copied from a folder: whole, from where it broke off, no more."""

from pathlib import Path
from threading import Event

import pytest

from asd_agent.errors import BundleError
from asd_agent.update import fetch
from asd_agent.update.fetch import FolderFetcher
from support.bundles import GOLDEN
from support.staging import MODEL, NEVER, fetched, files, manifest_of, stage


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a bundle."""
    folder = tmp_path / "stick"
    folder.mkdir()
    for name, content in files().items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_bytes(manifest_of(files()))
    return folder


def nothing(_here: int, _total: int) -> None:
    """Take no notice."""


def test_every_file_is_copied_and_told(tmp_path: Path, source: Path) -> None:
    staged = stage(tmp_path / "part", files())
    told: list[tuple[int, int]] = []
    FolderFetcher(source).fetch(staged, NEVER, lambda *now: told.append(now))
    assert fetched(staged) == files()
    total = sum(map(len, files().values()))
    assert told[-1] == (total, total)
    assert told == sorted(told)


def test_a_copy_goes_on_from_where_it_broke_off(tmp_path: Path, source: Path) -> None:
    staged = stage(tmp_path / "part", files())
    staged.append(MODEL, files()[MODEL][:100_000])
    # What is there already is not read again.
    content = b"?" * 100_000 + files()[MODEL][100_000:]
    (source / MODEL).write_bytes(content)
    FolderFetcher(source).fetch(staged, NEVER, nothing)
    assert fetched(staged) == files()


def test_a_copy_ends_when_it_is_told(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "CHUNK_BYTES", 1000)
    staged = stage(tmp_path / "part", files())
    stop = Event()
    stop.set()
    with pytest.raises(BundleError) as stopped:
        FolderFetcher(source).fetch(staged, stop, nothing)
    assert stopped.value.reason == "unavailable"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (MODEL, b"short", "changed"),
        (MODEL, b"?" * 200_000, "changed"),
        (MODEL, b"?" * 200_001, "too_large"),
        (GOLDEN, None, "missing_file"),
    ],
)
def test_what_is_not_the_file_of_the_manifest_is_refused(
    tmp_path: Path, source: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is None:
        (source / name).unlink()
    else:
        (source / name).write_bytes(content)
    staged = stage(tmp_path / "part", files())
    with pytest.raises(BundleError) as refused:
        FolderFetcher(source).fetch(staged, NEVER, nothing)
    assert refused.value.reason == reason
    assert name in staged.missing()


def test_a_link_is_not_followed(tmp_path: Path, source: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(files()[GOLDEN])
    (source / GOLDEN).unlink()
    (source / GOLDEN).symlink_to(secret)
    with pytest.raises(BundleError) as refused:
        FolderFetcher(source).fetch(stage(tmp_path / "part", files()), NEVER, nothing)
    assert refused.value.reason == "not_plain"


def test_a_file_that_nobody_vouches_for_is_refused(
    tmp_path: Path, source: Path
) -> None:
    (source / "run.sh").write_text("rm -rf /")
    with pytest.raises(BundleError, match=r"run\.sh") as refused:
        FolderFetcher(source).fetch(stage(tmp_path / "part", files()), NEVER, nothing)
    assert refused.value.reason == "extra_file"
