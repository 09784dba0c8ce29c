"""Nothing of a bundle is used before it is whole."""

from pathlib import Path

import pytest

from asd_agent.bundle.bundle import Bundle
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES
from asd_agent.errors import BundleError
from support.bundles import GOLDEN, MODEL, forge

FILES = [GOLDEN, MODEL.file]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return forge(tmp_path / "bundle", embeds=True)


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    return str(caught.value)


def test_a_whole_bundle_opens(folder: Path) -> None:
    bundle = Bundle.open(folder)
    assert bundle.manifest.id == "forged-1"
    assert set(bundle.manifest.files) == set(FILES)
    assert bundle.read(MODEL.file) == (folder / MODEL.file).read_bytes()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_changed_byte_is_found(folder: Path, name: str, at: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[at] ^= 1
    (folder / name).write_bytes(content)
    text = refusal(folder)
    assert str(folder / name) in text
    assert "SHA-256" in text


@pytest.mark.parametrize("name", FILES)
def test_a_byte_more_or_less_is_found(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    for other in (content[:-1], content + b"\0", b""):
        (folder / name).write_bytes(other)
        assert str(folder / name) in refusal(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert str(folder / name) in refusal(folder)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_link_or_a_folder_is_no_file(folder: Path, name: str) -> None:
    elsewhere = folder.parent / name
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    assert "not a plain file" in refusal(folder)
    (folder / name).unlink()
    (folder / name).mkdir()
    assert str(folder / name) in refusal(folder)


def test_no_folder_and_impossible_folders(tmp_path: Path) -> None:
    assert "not a plain file" in refusal(tmp_path / "nowhere")
    assert "not a plain file" in refusal(Path(__file__))
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))


def test_an_endless_manifest_is_not_read(folder: Path) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.write(b" " * MAX_MANIFEST_BYTES)
    assert f"more than the {MAX_MANIFEST_BYTES} bytes" in refusal(folder)


def test_a_file_that_changes_later_is_found_when_it_is_read(folder: Path) -> None:
    bundle = Bundle.open(folder)
    content = (folder / MODEL.file).read_bytes()
    (folder / MODEL.file).write_bytes(content[:-1] + b"?")
    with pytest.raises(BundleError, match="SHA-256"):
        bundle.read(MODEL.file)


def test_a_file_that_nobody_lists_is_nobodys_business(folder: Path) -> None:
    (folder / "README").write_text("hello")
    assert Bundle.open(folder).manifest.version == 1
