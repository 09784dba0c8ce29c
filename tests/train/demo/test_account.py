from typing import Any

import pytest

from asd_train.demo.account import Account


def decision(
    seq: int, ts: str, state: str = "normal", event: str | None = None, **more: Any
) -> dict[str, Any]:
    payload = {
        "seq": seq,
        "ts": f"2026-11-21T12:00:{ts}Z",
        "window_s": 1.5,
        "state": state,
        "score": 0.2,
        "threshold": 0.1,
        "p_value": 0.5,
        "event_id": event,
    }
    return payload | more


def alarm(seq: int, ts: str, since: str, event: str = "a") -> dict[str, Any]:
    times = {"since": f"2026-11-21T12:00:{since}Z", "bands": []}
    return decision(seq, ts, "anomalous", event, **times)


def test_time_counts_from_the_begin_of_the_first_window() -> None:
    account = Account(onset_s=5)
    account.take("anomaly", decision(1, "10.500"))
    account.take("anomaly", decision(2, "11.000"))
    assert [m.time_s for m in account.moments] == [1.5, 2.0]
    assert account.now_s == 2.0
    assert account.moments[0].ratio == pytest.approx(2)
    assert not account.detected


def test_an_alarm_after_the_onset_is_a_detection() -> None:
    account = Account(onset_s=5)
    account.take("anomaly", decision(1, "10.500"))
    account.take("anomaly", alarm(2, "20.000", since="19.250"))
    account.take("anomaly", alarm(3, "21.000", since="19.250"))
    assert account.alarm_s == 10.25
    assert account.delay_s == 5.25
    assert account.detected
    assert account.alarm is not None
    assert account.alarm["seq"] == 3


def test_an_alarm_before_the_onset_is_none_even_if_another_follows() -> None:
    account = Account(onset_s=5)
    account.take("anomaly", decision(1, "10.500"))
    account.take("anomaly", alarm(2, "12.000", since="12.000"))
    account.take("anomaly", alarm(3, "30.000", since="30.000", event="b"))
    assert account.delay_s == -2.0
    assert not account.detected


def test_a_message_that_comes_twice_counts_once() -> None:
    account = Account(onset_s=5)
    for seq in (1, 2, 2, 1, 3):
        account.take("anomaly", decision(seq, f"1{seq}.000"))
    assert len(account.moments) == 3


def test_spectra_status_and_health_are_kept() -> None:
    account = Account(onset_s=5)
    spectrum = {
        "ts": "2026-11-21T12:00:11.000Z",
        "lo_hz": [0, 100],
        "hi_hz": [100, 8000],
        "level_db": [-40, None],
    }
    account.take("spectrum", spectrum)
    assert account.slices == [], "nobody knows yet when the stream began"
    account.take("anomaly", decision(1, "10.500"))
    account.take("spectrum", spectrum)
    account.take("status", "online")
    account.take("health", {"rss_bytes": 1})
    (only,) = account.slices
    assert (only.time_s, only.level_db, only.top_hz) == (2.0, (-40, None), 8000)
    assert account.status == "online"
    assert account.health == {"rss_bytes": 1}
