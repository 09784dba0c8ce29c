"""The parts that a configuration names, and the folder that is written to."""

from pathlib import Path

import pytest

from asd_agent.capture.recording import Recording
from asd_agent.config import AlarmConfig, SourceConfig
from asd_agent.errors import ConfigError, SiteError
from asd_agent.scoring.alarm import AlarmRule
from asd_agent.setup import (
    alarm_rule,
    check_state_dir,
    choose_source,
    open_source,
    site_path,
)
from support.agents import agent


def test_the_state_folder_is_made_and_left_clean(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    check_state_dir(folder)
    check_state_dir(folder)
    assert list(folder.iterdir()) == []


def test_what_a_crash_left_does_not_stop_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getpid", lambda: 1)  # as always in a container
    (tmp_path / ".probe-1").touch()
    check_state_dir(tmp_path)


def test_a_state_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (
        tmp_path / "file",
        tmp_path / "file" / "below",
        tmp_path / ("x" * 300),
    ):
        with pytest.raises(SiteError, match="set state_dir to one that it may write"):
            check_state_dir(path)


def test_the_source_that_is_meant(tmp_path: Path) -> None:
    made = agent(tmp_path)
    config = made.config()
    assert choose_source(config, None).name == "pump"
    assert choose_source(config, "pump").name == "pump"
    assert site_path(config, config.sources[0], "forged-1") == made.site
    with pytest.raises(
        ConfigError, match="--source fan: no such source; there are pump"
    ):
        choose_source(config, "fan")
    fan = config.sources[0].model_copy(update={"name": "fan"})
    two = config.model_copy(update={"sources": (*config.sources, fan)})
    assert choose_source(two, "fan") is fan
    with pytest.raises(ConfigError, match="--source with one of pump, fan"):
        choose_source(two, None)


def test_a_recording_is_opened_as_configured(tmp_path: Path) -> None:
    made = agent(tmp_path)
    fast = open_source(made.config().sources[0])
    assert isinstance(fast, Recording)
    assert not fast.live
    live = open_source(
        SourceConfig(name="a", recording=str(made.tape), pace="realtime")
    )
    assert live.live


def test_the_rule_is_the_one_that_was_said() -> None:
    config = AlarmConfig.model_validate({"raise": "2 of 4", "clear": "1 of 8"})
    assert alarm_rule(config) == AlarmRule(2, 4, 1, 8)
