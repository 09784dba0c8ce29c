"""Nothing of a bundle is used before it is whole, and ours where that counts."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from asd_agent.bundle.bundle import DEFAULT_BUNDLE, Bundle
from asd_agent.bundle.manifest import MAX_FILE_BYTES, MAX_MANIFEST_BYTES
from asd_agent.bundle.trust import Trust
from asd_agent.errors import BundleError
from support.bundles import GOLDEN, MODEL, forge, key_pair, public, reforge, sign

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
    assert "manifest.json: is missing. A bundle is a" in refusal(tmp_path / "nowhere")
    assert "is missing" in refusal(Path(__file__))
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


class Signed:
    """A signed bundle that a test may spoil, and the trust in its key."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = forge(tmp_path / "signed", embeds=True)
        self.key, _ = key_pair(tmp_path)
        self.trust = Trust(keys=(public(self.key),))
        sign(self.path, self.key)

    def reason(self) -> str:
        with pytest.raises(BundleError) as caught:
            Bundle.open(self.path, self.trust)
        assert str(self.path) in str(caught.value)
        return caught.value.reason


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def test_a_signed_bundle_opens_and_names_its_key(signed: Signed) -> None:
    assert Bundle.open(signed.path, signed.trust).signed_by == signed.trust.keys[0]
    assert Bundle.open(signed.path).signed_by is None  # nobody asked


def test_an_unsigned_bundle_where_that_is_allowed(folder: Path) -> None:
    assert Bundle.open(folder, Trust(allow_unsigned=True)).signed_by is None
    assert Bundle.open(DEFAULT_BUNDLE).signed_by is None


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b" ")


def _link(path: Path) -> None:
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path: Path) -> None:
    os.truncate(path, 1 << 40)


MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


@pytest.mark.parametrize(
    ("spoil", "name", "reason"),
    [
        (Path.unlink, MANIFEST, "missing_file"),
        (Path.unlink, SIGNATURE, "unsigned"),
        (Path.unlink, MODEL.file, "missing_file"),
        (Path.unlink, GOLDEN, "missing_file"),
        (_flip, MANIFEST, "untrusted"),
        (_flip, SIGNATURE, "untrusted"),
        (_flip, MODEL.file, "changed"),
        (_flip, GOLDEN, "changed"),
        (_truncate, MANIFEST, "untrusted"),
        (_truncate, SIGNATURE, "untrusted"),
        (_truncate, MODEL.file, "changed"),
        (_truncate, GOLDEN, "changed"),
        (_grow, MANIFEST, "untrusted"),
        (_grow, SIGNATURE, "changed"),
        (_grow, MODEL.file, "changed"),
        (_grow, GOLDEN, "changed"),
        (_endless, MANIFEST, "too_large"),
        (_endless, SIGNATURE, "changed"),
        (_endless, MODEL.file, "changed"),
        *((_link, name, "not_plain") for name in (MANIFEST, SIGNATURE, MODEL.file)),
        *((_folder, name, "not_plain") for name in (MANIFEST, SIGNATURE, MODEL.file)),
        *((_pipe, name, "not_plain") for name in (MANIFEST, SIGNATURE, MODEL.file)),
    ],
)
def test_a_spoilt_file_is_refused(
    signed: Signed, spoil: Callable[[Path], None], name: str, reason: str
) -> None:
    spoil(signed.path / name)
    assert signed.reason() == reason


def test_a_file_that_nobody_lists_is_refused_where_trust_counts(
    signed: Signed,
) -> None:
    (signed.path / "model.onnx.data").write_bytes(b"weights from elsewhere")
    assert signed.reason() == "extra_file"
    (signed.path / "model.onnx.data").unlink()
    (signed.path / "folder").mkdir()
    assert signed.reason() == "extra_file"


def test_files_of_two_bundles_are_not_mixed(signed: Signed, tmp_path: Path) -> None:
    other = shutil.copytree(signed.path, tmp_path / "other")
    reforge(other, MODEL.file, b"another model")
    sign(other, signed.key)
    assert Bundle.open(other, signed.trust).manifest.files[MODEL.file].bytes == 13
    for name, reason in ((MODEL.file, "changed"), (SIGNATURE, "untrusted")):
        before = (signed.path / name).read_bytes()
        shutil.copy(other / name, signed.path / name)
        assert signed.reason() == reason
        (signed.path / name).write_bytes(before)
    Bundle.open(signed.path, signed.trust)


def test_a_bundle_of_another_key(signed: Signed, tmp_path: Path) -> None:
    other, _ = key_pair(tmp_path, "theirs")
    sign(signed.path, other)
    assert signed.reason() == "untrusted"
    signed.trust = Trust(keys=(*signed.trust.keys, public(other, "theirs")))
    opened = Bundle.open(signed.path, signed.trust)
    assert opened.signed_by is not None
    assert opened.signed_by.name == "theirs"


def test_a_manifest_that_promises_too_much(signed: Signed) -> None:
    raw = (signed.path / MANIFEST).read_text()
    size = (signed.path / MODEL.file).stat().st_size
    wrong = raw.replace(f'"bytes":{size}', f'"bytes":{MAX_FILE_BYTES + 1}')
    assert wrong != raw
    (signed.path / MANIFEST).write_text(wrong)
    sign(signed.path, signed.key)
    assert signed.reason() == "malformed"
