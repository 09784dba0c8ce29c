import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.mqtt import payloads
from support.decisions import ALARM, NORMAL, ORIGIN, SPECTRUM


def test_a_decision_has_the_fields_of_the_contract() -> None:
    assert payloads.anomaly(NORMAL, ORIGIN) == {
        "v": 1,
        "device": "press-07",
        "source": "gearbox",
        "seq": 0,
        "boot_id": "5f0c1e9ab2d34c6e8f7a6b5c4d3e2f10",
        "ts": "2026-11-21T12:00:10.000Z",
        "window_s": 9.824,
        "score": 0.03123457,
        "threshold": 0.125,
        "p_value": 0.42,
        "state": "normal",
        "reason": None,
        "event_id": None,
        "level_dbfs": -31.27,
        "gap": False,
        "clock_synced": True,
        "replayed": False,
        "bundle": {"id": "pump-a", "version": 3},
    }


def test_an_alarm_says_since_when_and_why() -> None:
    payload = payloads.anomaly(ALARM, ORIGIN)
    assert payload["event_id"] == "5f0c1e9a-gearbox-80000"
    assert payload["since"] == "2026-11-21T12:00:05.000Z"
    assert payload["score_max"] == 0.91
    assert payload["bands"] == [{"lo_hz": 2000, "hi_hz": 2800, "delta_db": 9.123}]
    assert payload["nearest_normal"] == {"id": "bank-0173", "distance": 0.87}
    assert payload["clip"] is None


def test_an_event_keeps_its_name() -> None:
    later = replace(ALARM, end_sample=240_000, changed=False)
    names = {payloads.anomaly(d, ORIGIN)["event_id"] for d in (ALARM, later)}
    assert len(names) == 1


def test_two_sources_never_share_an_event_id() -> None:
    other = replace(ORIGIN, source="pump")
    ids = {payloads.anomaly(ALARM, origin)["event_id"] for origin in (ORIGIN, other)}
    assert len(ids) == 2


def test_what_is_not_known_is_null() -> None:
    unknown = replace(NORMAL, score=None, threshold=None, p_value=None)
    payload = payloads.anomaly(unknown, ORIGIN)
    keys = ("score", "threshold", "p_value")
    assert [payload[key] for key in keys] == [None] * 3


@given(
    st.floats() | st.none(),
    st.floats() | st.none(),
    st.floats(),
)
def test_json_holds_no_nan_and_keeps_six_digits(
    score: float | None, p_value: float | None, level_dbfs: float
) -> None:
    decision = replace(NORMAL, score=score, p_value=p_value, level_dbfs=level_dbfs)
    text = payloads.encode(payloads.anomaly(decision, ORIGIN))
    again = json.loads(text, parse_constant=pytest.fail)
    if score is not None and abs(score) < 1e300:
        assert again["score"] == pytest.approx(score, rel=1e-6)


def test_encode_refuses_what_json_has_not() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        payloads.encode({"score": float("nan")})


def test_state_is_what_a_late_subscriber_needs() -> None:
    assert payloads.state(payloads.anomaly(ALARM, ORIGIN)) == {
        "v": 1,
        "device": "press-07",
        "source": "gearbox",
        "boot_id": "5f0c1e9ab2d34c6e8f7a6b5c4d3e2f10",
        "ts": "2026-11-21T12:00:10.000Z",
        "state": "anomalous",
        "reason": None,
        "event_id": "5f0c1e9a-gearbox-80000",
        "score": 0.87,
        "threshold": 0.125,
        "p_value": 0.42,
        "clock_synced": True,
        "bundle": {"id": "pump-a", "version": 3},
    }


def test_a_spectrum_is_three_lists_of_one_length() -> None:
    payload = payloads.spectrum(replace(NORMAL, spectrum=SPECTRUM), ORIGIN)
    assert payload == {
        "v": 1,
        "device": "press-07",
        "source": "gearbox",
        "ts": "2026-11-21T12:00:10.000Z",
        "lo_hz": [0, 31.25],
        "hi_hz": [31.25, 4000],
        "level_db": [-71.2, None],
    }


def test_a_decision_without_spectrum_shows_none() -> None:
    assert payloads.spectrum(NORMAL, ORIGIN) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the disk is full", "the disk is full"),
        ("/var/lib/asd/model.onnx: is missing", "model.onnx: is missing"),
        ("C:\\keys\\factory.pub is no key", "factory.pub is no key"),
        (
            "no answer of https://user:word@files.example/a today",
            "no answer of ... today",
        ),
        ("no answer of ops@files.example", "no answer of ..."),
        ("no route to 192.168.7.31, sorry", "no route to ... sorry"),
        ("no route to [fe80::1]", "no route to ..."),
        ("broker.example:8883 is away", "... is away"),
        ("two\nlines\tand \x1b[31m red", "two lines and [31m red"),
        ("/", ""),
    ],
)
def test_a_sentence_leaves_the_device_without_places(text: str, said: str) -> None:
    assert payloads.sayable(text) == said


def test_a_long_sentence_is_cut() -> None:
    said = payloads.sayable("word " * 100)
    assert len(said) == payloads.MAX_DETAIL
    assert said.endswith("...")
