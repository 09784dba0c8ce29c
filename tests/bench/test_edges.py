"""The measurement of clips and figures works; what it finds is in the tables."""

import os
from pathlib import Path

import pytest

from bench.edges import main


def test_both_tables_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = Path(__file__).parents[1]
    folders = [tests, tests.parent / "agent"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
    assert main(["--blocks", "100", "--scrapes", "20"]) == 0
    told = capsys.readouterr().out
    for what in ("a block, no alarm", "packing", "memory after 20 scrapes", "bytes"):
        assert what in told
