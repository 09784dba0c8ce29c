"""An hour of the soak: nothing lost, every sample accounted for."""

from pathlib import Path

import pytest

from faults.soak import Soak


@pytest.mark.broker
def test_an_hour_with_faults_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faults.soak.FAULT_S", (5.0, 10.0))
    soak = Soak(tmp_path, hours=0.5, sources=2, seed=4, learn_minutes=4.0)
    found = soak.run()
    assert found["exit"] == 0, (tmp_path / "agent.log").read_text()
    assert found["changes lost"] == 0
    assert found["samples unaccounted"] == {"machine-1": 0, "machine-2": 0}
    assert sum(found["faults of the broker"].values()) > 0
    assert found["changes of state"] > 4
    assert found["seconds"]["learnt"] > 480
