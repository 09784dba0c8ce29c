"""No reader of the device's crashes on a file that was tampered with."""

import pytest

from faults.fuzz import MOST_MB, fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_wrong_is_refused(seed: int) -> None:
    found, _ = fuzz(2.0, seed)
    for reader, counts in found.items():
        assert counts["refused"] > 0, reader
        assert counts["crashed"] == 0, reader


def test_the_fuzzer_sees_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragile(content: bytes) -> None:
        content.decode("ascii")

    monkeypatch.setattr(
        "faults.fuzz.cases", lambda _: {"fragile": (b"a" * 99, fragile)}
    )
    found, peak_mb = fuzz(0.2, 3)
    assert found["fragile"]["crashed"] > 0
    assert 0 < peak_mb < 20 * MOST_MB
