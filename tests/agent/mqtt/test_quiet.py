import logging

import pytest

from asd_agent.mqtt.quiet import QUIET_S, Quiet


def test_a_trouble_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    quiet = Quiet(lambda: now_s)
    for now_s in (0.0, 1.0, QUIET_S - 1, QUIET_S, QUIET_S + 1):
        quiet.say("link", "lost at %d", now_s)
        quiet.say("acl", "refused")
    said = [record.getMessage() for record in caplog.records]
    assert said == ["lost at 0", "refused", "lost at 60", "refused"]


def test_a_trouble_may_be_an_error(caplog: pytest.LogCaptureFixture) -> None:
    Quiet(lambda: 0.0).say("rival", "another is called %s", "a", level=logging.ERROR)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR,
        "another is called a",
    )
