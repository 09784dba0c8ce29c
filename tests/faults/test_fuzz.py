"""Nothing that the device reads makes it crash, however it was tampered with."""

from pathlib import Path

import pytest

from faults.fuzz import fuzz, one_process
from faults.fuzz_broken import BROKEN
from faults.fuzz_targets import TARGETS

REPAIRING = {"certificates", "coverage", "outbox", "password file"}
REPAIRING |= {"doctor, MQTT 5", "doctor, MQTT 3.1.1"}
REPAIRING |= {"bundles/state.json", "bundles/tries.json"}
"""What is never refused, but mended or left alone"""


def test_whatever_is_wrong_is_refused_or_mended(tmp_path: Path) -> None:
    """``python -m faults.fuzz`` does the same for longer."""
    names = list(TARGETS)
    found = one_process(names, 0.2, 1, tmp_path)
    for name, one in zip(names, found, strict=False):
        assert not one.first, f"{name}: {one.first}"
        assert one.cases > 5, name
        assert one.refused > 0 or name in REPAIRING, name
    assert len(found) == len(names)


@pytest.mark.parametrize("name", BROKEN)
def test_the_fuzzer_sees(name: str, tmp_path: Path) -> None:
    total = fuzz(name, 0.2, 3, tmp_path)
    assert total.crashes > 0
    (kept, *_) = sorted(tmp_path.glob("that-*"))
    assert kept.read_bytes() != b"a" * 99
    assert str(tmp_path) in total.first
