"""A bundle that ends the agent while it is tested is tested three times."""

from pathlib import Path

import pytest

from asd_agent.errors import BundleError
from asd_agent.update.tries import MAX_TRIES, Tries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tries.json"


def test_tries_that_were_cut_short_are_counted_across_starts(path: Path) -> None:
    for _ in range(MAX_TRIES):
        Tries(path).begin("pump-a")
    with pytest.raises(BundleError, match="ended 3 times") as refused:
        Tries(path).begin("pump-a")
    assert refused.value.reason == "crashed"


def test_what_ends_in_an_orderly_way_is_not_counted(path: Path) -> None:
    for _ in range(2 * MAX_TRIES):
        tries = Tries(path)
        tries.begin("pump-a")
        tries.end()
    assert not path.exists()
    Tries(path).end()


def test_another_bundle_has_tries_of_its_own(path: Path) -> None:
    for _ in range(MAX_TRIES):
        Tries(path).begin("pump-a")
    Tries(path).begin("pump-b")
    Tries(path).begin("pump-b")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 5000, b'{"id": 3}'])
def test_a_count_that_is_damaged_is_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    Tries(path).begin("pump-a")
    assert b"pump-a" in path.read_bytes()


def test_a_count_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        Tries(tmp_path / "none" / "tries.json").begin("pump-a")
