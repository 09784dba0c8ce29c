from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.mqtt.clock import Anchor, rfc3339

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def test_time_follows_the_sample_counter() -> None:
    anchor = Anchor(NOON, sample=16_000, rate_hz=16_000)
    assert rfc3339(anchor.at(16_000)) == "2026-11-21T12:00:00.000Z"
    assert rfc3339(anchor.at(16_000 + 8_192)) == "2026-11-21T12:00:00.512Z"
    assert rfc3339(anchor.at(0)) == "2026-11-21T11:59:59.000Z"


def test_other_zones_are_written_in_utc() -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    assert rfc3339(tokyo) == "2026-11-21T12:00:00.000Z"


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        rfc3339(NOON.replace(tzinfo=None))


@given(st.integers(0, 2**48), st.sampled_from([8_000, 16_000, 44_100, 48_000]))
def test_a_year_of_samples_keeps_its_microsecond(sample: int, rate_hz: int) -> None:
    exact_micros = sample * 1_000_000 / rate_hz
    passed = Anchor(NOON, 0, rate_hz).at(sample) - NOON
    micros = passed // timedelta(microseconds=1)
    assert micros == pytest.approx(exact_micros, abs=1.001, rel=1e-15)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_later_samples_are_never_earlier(one: int, other: int) -> None:
    anchor = Anchor(NOON, 0, 16_000)
    assert (anchor.at(one) <= anchor.at(other)) or one > other
