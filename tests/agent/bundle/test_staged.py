"""A fetch goes on where it ended, writes no byte too many and follows no link."""

import errno
import gc
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.disk import Disk
from asd_agent.bundle.staged import SPARE_BYTES, Staged
from asd_agent.errors import BundleError
from support.bundles import GOLDEN, MODEL, forge, reforge

NAME = MODEL.file
DISK = Disk()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return forge(tmp_path_factory.mktemp("staged") / "bundle", embeds=True)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "bundles" / ".part-forged-1"


def begin(source: Path, part: Path, disk: Disk = DISK) -> Staged:
    raw = (source / "manifest.json").read_bytes()
    return Staged(part, raw, b"s" * 64, disk)


def content(source: Path, name: str = NAME) -> bytes:
    return (source / name).read_bytes()


def fetch(staged: Staged, source: Path, chunk: int = 50_000) -> None:
    for name in staged.missing():
        raw = content(source, name)
        while (at := staged.partial(name)) < len(raw):
            staged.append(name, raw[at : at + chunk])
        staged.finish(name)


@contextmanager
def refusal(reason: str) -> Generator[pytest.ExceptionInfo[BundleError], None, None]:
    with pytest.raises(BundleError) as caught:
        yield caught
    assert caught.value.reason == reason


def test_a_bundle_is_fetched(source: Path, part: Path) -> None:
    staged = begin(source, part)
    assert set(staged.missing()) == {NAME, GOLDEN}
    assert staged.partial(NAME) == 0
    fetch(staged, source)
    assert staged.missing() == {}
    assert staged.partial(NAME) == len(content(source))
    staged.seal()
    bundle = Bundle.open(part)
    assert bundle.manifest == staged.manifest
    assert bundle.read(NAME) == content(source)
    assert (part / "manifest.sig").read_bytes() == b"s" * 64


def test_a_fetch_goes_on_in_another_process(source: Path, part: Path) -> None:
    staged = begin(source, part)
    staged.append(GOLDEN, content(source, GOLDEN))
    staged.finish(GOLDEN)
    staged.append(NAME, content(source)[:1000])
    staged.close()
    staged = begin(source, part)
    assert list(staged.missing()) == [NAME]
    assert staged.partial(NAME) == 1000
    fetch(staged, source)
    staged.seal()


def test_a_last_byte_that_came_before_the_end_is_not_fetched_again(
    source: Path, part: Path
) -> None:
    staged = begin(source, part)
    staged.append(NAME, content(source))
    staged.close()
    assert list(begin(source, part).missing()) == [GOLDEN]


@pytest.mark.parametrize("at", [0, 500, -1])
def test_what_was_damaged_meanwhile_is_fetched_again(
    source: Path, part: Path, at: int
) -> None:
    staged = begin(source, part)
    fetch(staged, source)
    staged.close()
    raw = bytearray(content(source))
    raw[at] ^= 1
    (part / NAME).write_bytes(raw)
    staged = begin(source, part)
    assert list(staged.missing()) == [NAME]
    assert staged.partial(NAME) == 0
    fetch(staged, source)
    staged.seal()


@pytest.mark.parametrize("size", [133_360, 133_361, 200_000])
def test_a_partial_file_that_is_wrong_is_removed(
    source: Path, part: Path, size: int
) -> None:
    assert len(content(source)) == 133_360
    begin(source, part).close()
    (part / f".{NAME}").write_bytes(b"x" * size)
    staged = begin(source, part)
    assert staged.partial(NAME) == 0


def test_bytes_of_another_content_are_refused_at_the_end(
    source: Path, part: Path
) -> None:
    staged = begin(source, part)
    staged.append(NAME, b"x" * len(content(source)))
    with refusal("changed"):
        staged.finish(NAME)
    assert staged.partial(NAME) == 0
    staged.append(NAME, content(source)[:-1])
    with refusal("changed"):
        staged.finish(NAME)  # too short
    assert not (part / NAME).exists()
    with refusal("missing_file"):
        staged.finish(NAME)


def test_no_byte_more_than_the_manifest_says(source: Path, part: Path) -> None:
    staged = begin(source, part)
    raw = content(source)
    for wrong in (raw + b"x", raw * 10):
        with refusal("too_large"):
            staged.append(NAME, wrong)
        assert staged.partial(NAME) == 0
    staged.append(NAME, raw)
    with refusal("too_large"):
        staged.append(NAME, b"x")
    staged.finish(NAME)
    with refusal("too_large"):
        staged.append(NAME, b"x")
    staged.finish(NAME)  # it is whole already
    assert content(part) == raw


@pytest.mark.parametrize("name", ["../state.json", "/etc/passwd", "manifest.json", ""])
def test_a_file_that_the_manifest_does_not_list(
    source: Path, part: Path, name: str
) -> None:
    staged = begin(source, part)
    for act in (staged.partial, staged.finish, lambda name: staged.append(name, b"x")):
        with refusal("extra_file"):
            act(name)
    assert {path.name for path in part.parent.iterdir()} == {part.name}


@pytest.mark.parametrize("name", [f".{NAME}", NAME, "manifest.json", "manifest.sig"])
def test_a_link_that_lay_there_is_not_followed(
    source: Path, part: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    begin(source, part).close()
    (part / name).unlink(missing_ok=True)
    (part / name).symlink_to(victim)
    staged = begin(source, part)
    fetch(staged, source)
    staged.seal()
    assert victim.read_bytes() == b"mine"
    assert not (part / name).is_symlink()


def test_a_link_that_is_put_there_is_refused(
    source: Path, part: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    staged = begin(source, part)
    (part / f".{NAME}").symlink_to(victim)
    with refusal("not_plain"):
        staged.append(NAME, content(source)[:100])
    with refusal("not_plain"):
        staged.finish(NAME)
    (part / f".{NAME}").unlink()
    (part / f".{NAME}").hardlink_to(victim)
    with refusal("not_plain"):
        staged.append(NAME, content(source)[:100])
    assert victim.read_bytes() == b"mine"


def test_a_link_in_place_of_the_folder(
    source: Path, part: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    part.parent.mkdir()
    part.symlink_to(outside)
    fetch(begin(source, part), source)
    assert not part.is_symlink()
    assert list(outside.iterdir()) == []


def test_an_odd_thing_in_the_folder_is_cleared_away(source: Path, part: Path) -> None:
    staged = begin(source, part)
    fetch(staged, source)
    staged.close()
    os.mkfifo(part / "pipe")
    (part / "folder").mkdir()
    (part / "folder" / "file").touch()
    staged = begin(source, part)
    assert set(staged.missing()) == {NAME, GOLDEN}
    fetch(staged, source)
    staged.seal()


def test_another_manifest_of_the_same_id_begins_anew(
    source: Path, part: Path, tmp_path: Path
) -> None:
    fetch(begin(source, part), source)
    other = shutil.copytree(source, tmp_path / "other")
    reforge(other, NAME, b"another model")
    staged = begin(other, part)
    assert set(staged.missing()) == {NAME, GOLDEN}
    fetch(staged, other)
    staged.seal()


def test_another_signature_of_the_same_manifest_goes_on(
    source: Path, part: Path
) -> None:
    fetch(begin(source, part), source)
    raw = (source / "manifest.json").read_bytes()
    for signature in (b"t" * 64, None, b"u" * 64):
        staged = Staged(part, raw, signature, DISK)
        assert staged.missing() == {}
        staged.seal()
        staged.close()
        assert (part / "manifest.sig").exists() == (signature is not None)


def _extra(part: Path) -> None:
    (part / "extra").touch()


def _missing(part: Path) -> None:
    (part / NAME).unlink()


def _changed(part: Path) -> None:
    (part / NAME).write_bytes(b"?" + (part / NAME).read_bytes()[1:])


def _link(part: Path) -> None:
    (part / NAME).rename(part.parent / NAME)
    (part / NAME).symlink_to(part.parent / NAME)


def _manifest(part: Path) -> None:
    (part / "manifest.json").write_bytes(b"{}")


def _signature(part: Path) -> None:
    (part / "manifest.sig").write_bytes(b"x")


def _unsigned(part: Path) -> None:
    (part / "manifest.sig").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_extra, "extra_file"),
        (_missing, "missing_file"),
        (_changed, "changed"),
        (_link, "not_plain"),
        (_manifest, "changed"),
        (_signature, "changed"),
        (_unsigned, "changed"),
    ],
)
def test_what_is_changed_after_it_was_fetched_is_not_sealed(
    source: Path, part: Path, change: Callable[[Path], None], reason: str
) -> None:
    staged = begin(source, part)
    fetch(staged, source)
    change(part)
    with refusal(reason):
        staged.seal()


def test_a_fetch_that_has_not_ended_is_not_sealed(source: Path, part: Path) -> None:
    staged = begin(source, part)
    with refusal("missing_file"):
        staged.seal()


def test_empty_files_need_no_fetch(source: Path, part: Path, tmp_path: Path) -> None:
    other = shutil.copytree(source, tmp_path / "other")
    reforge(other, "notes", b"")
    staged = begin(other, part)
    assert set(staged.missing()) == {NAME, GOLDEN}
    fetch(staged, other)
    staged.seal()


class Small(Disk):
    """A medium with so many bytes left."""

    def __init__(self, left: int) -> None:
        self.left = left

    def write(self, fd: int, raw: bytes) -> None:
        fits = raw[: self.left]
        super().write(fd, fits)
        self.left -= len(fits)
        if len(fits) < len(raw):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def free_bytes(self, folder: Path) -> int:
        return self.left


def test_without_room_nothing_is_begun(source: Path, part: Path) -> None:
    needed = len(content(source)) + len(content(source, GOLDEN)) + SPARE_BYTES
    described = len((source / "manifest.json").read_bytes()) + 64
    with refusal("disk_full") as caught:
        begin(source, part, Small(needed - 1 + described))
    text = str(caught.value)
    assert f"{needed} bytes are needed for forged-1, {needed - 1} are free" in text
    staged = begin(source, part, Small(needed))
    assert set(staged.missing()) == {NAME, GOLDEN}


def test_room_for_the_rest_is_enough_to_go_on(source: Path, part: Path) -> None:
    staged = begin(source, part)
    staged.append(NAME, content(source)[:-1])
    staged.close()
    disk = Small(1 + len(content(source, GOLDEN)) + SPARE_BYTES)
    fetch(begin(source, part, disk), source)
    assert disk.left == SPARE_BYTES


def test_the_disk_fills_up_meanwhile(source: Path, part: Path) -> None:
    disk = Small(10_000_000)
    staged = begin(source, part, disk)
    staged.append(GOLDEN, content(source, GOLDEN))
    staged.finish(GOLDEN)
    staged.append(NAME, content(source)[:50_000])
    disk.left = 20_000
    with refusal("disk_full") as caught:
        staged.append(NAME, content(source)[50_000:])
    assert "bytes are needed for forged-1, 0 are free" in str(caught.value)
    # What was fetched whole stays; the rest makes room for all else.
    assert not (part / f".{NAME}").exists()
    assert list(staged.missing()) == [NAME]
    disk.left = 10_000_000
    fetch(staged, source)
    staged.seal()


@pytest.fixture
def small_medium(tmp_path: Path) -> Generator[Path, None, None]:
    """A file system of 5 MiB."""
    root = tmp_path / "small"
    root.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=5m", "asd-test", str(root)]
    subprocess.run(words, check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


@pytest.mark.root
def test_a_real_medium_fills_up(source: Path, small_medium: Path) -> None:
    staged = begin(source, small_medium / ".part-forged-1")
    staged.append(NAME, content(source)[:1000])
    filler = small_medium / "filler"
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        file.write(bytes(8_000_000))
    with refusal("disk_full") as caught:
        staged.append(NAME, content(source)[1000:])
    assert f"{DISK.free_bytes(small_medium)} are free" in str(caught.value)
    staged.close()
    with refusal("disk_full"):
        begin(source, small_medium / ".part-forged-1")
    filler.unlink()
    staged = begin(source, small_medium / ".part-forged-1")
    fetch(staged, source)
    staged.seal()
    staged.close()


def test_unchanged_files_are_taken_from_another_bundle(
    source: Path, part: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(source, tmp_path / "old")
    reforge(old, "model.renamed", content(source))
    reforge(old, NAME, b"another")
    reforge(old, GOLDEN, b"another")
    staged = begin(source, part)
    staged.append(NAME, content(source)[:1000])
    assert staged.adopt(old) == [NAME]
    assert list(staged.missing()) == [GOLDEN]
    fetch(staged, source)
    staged.seal()
    assert (part / NAME).stat().st_nlink == 1  # not the same blocks


@pytest.mark.parametrize("damage", ["changed", "short", "long", "missing", "link"])
def test_a_damaged_file_is_not_taken(
    source: Path, part: Path, tmp_path: Path, damage: str
) -> None:
    old = shutil.copytree(source, tmp_path / "old")
    raw = content(source)
    (old / NAME).unlink()
    if damage == "link":
        (old / NAME).symlink_to(source / NAME)
    elif damage != "missing":
        wrong = {"changed": b"?" + raw[1:], "short": raw[:-1], "long": raw + b"x"}
        (old / NAME).write_bytes(wrong[damage])
    staged = begin(source, part)
    assert staged.adopt(old) == [GOLDEN]
    fetch(staged, source)
    staged.seal()


def test_there_is_no_bundle_to_take_from(source: Path, part: Path) -> None:
    staged = begin(source, part)
    assert staged.adopt(part.parent / "nowhere") == []
    (part.parent / "broken").mkdir()
    (part.parent / "broken" / "manifest.json").write_text("{")
    assert staged.adopt(part.parent / "broken") == []


def test_room_runs_out_while_files_are_taken(source: Path, part: Path) -> None:
    disk = Small(10_000_000)
    staged = begin(source, part, disk)
    disk.left = 1000
    with refusal("disk_full"):
        staged.adopt(source)


def test_one_process_fetches_at_a_time(source: Path, part: Path) -> None:
    staged = begin(source, part)
    with refusal("unavailable"):
        begin(source, part)
    staged.close()
    staged = begin(source, part)
    del staged  # forgotten, as after an error
    gc.collect()
    begin(source, part).drop()
    assert list(part.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot be written"):
        begin(source, tmp_path / "file" / ".part-forged-1")
