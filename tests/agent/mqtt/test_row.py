import json
import logging

import pytest

from asd_agent.mqtt import payloads
from asd_agent.mqtt.row import MAX_BODY_BYTES, Row, encoded
from support.decisions import ALARM, NORMAL, ORIGIN


def row(payload: dict[str, object], *, late: bool) -> Row:
    body = encoded(payload)
    assert body is not None
    return Row(1, body, changed=False, late=late)


@pytest.mark.parametrize("decision", [NORMAL, ALARM])
def test_only_replayed_tells_a_late_message_from_another(decision: object) -> None:
    payload = payloads.anomaly(decision, ORIGIN)  # type: ignore[arg-type]
    assert json.loads(row(payload, late=False).message) == payload
    late = json.loads(row(payload, late=True).message)
    assert late == payload | {"replayed": True}
    assert list(late) == list(payload), "the order of fields stays"


def test_words_in_a_text_are_not_taken_for_the_field() -> None:
    text = '{"replayed":false} "replayed":false'
    sent = json.loads(row({"before": text, "n": 1}, late=True).message)
    assert sent == {"before": text, "n": 1, "replayed": True}


@pytest.mark.parametrize(
    "value", [float("nan"), object(), "x" * MAX_BODY_BYTES], ids=["NaN", "type", "long"]
)
def test_what_cannot_be_sent_is_no_error(
    value: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert encoded({"score": value}) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
