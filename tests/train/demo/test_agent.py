import time
from pathlib import Path

import pytest

from asd_train.demo.agent import Agent, AgentFailed, learn


def test_a_command_that_fails_says_what_the_agent_said(tmp_path: Path) -> None:
    config = tmp_path / "demo.yaml"
    config.write_text("device: demo\nsurces: []\n")
    with pytest.raises(AgentFailed, match=r"(?s)ended with 2.*surces"):
        learn(config, tmp_path)


def test_an_agent_that_ends_is_seen_and_its_log_is_kept(tmp_path: Path) -> None:
    with Agent(tmp_path / "absent.yaml", tmp_path / "log") as agent:
        deadline_s = time.monotonic() + 20
        while not agent.ended:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
    assert "absent.yaml" in agent.said()


def test_an_agent_that_is_left_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent(tmp_path / "demo.yaml", tmp_path / "log")
    monkeypatch.setattr(agent, "_command", ("sleep", "60"))
    began_s = time.monotonic()
    with agent:
        assert not agent.ended
    assert agent.ended
    assert time.monotonic() - began_s < 5
    assert not Path(f"/proc/{agent._process.pid}").exists()
