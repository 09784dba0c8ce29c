"""One message of the outbox: its JSON, written once, and what is known of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asd_agent.mqtt import payloads

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 65_536
"""A longer message is given up at once; an alarm has some 2,000"""
_PUNCTUAL, _LATE = b'"replayed":false', b'"replayed":true'


@dataclass(frozen=True, slots=True)
class Row:
    """One message that is kept until the broker has acknowledged it."""

    key: int
    """Rises with every message"""
    body: bytes
    """Its JSON, as if it was sent at once"""
    changed: bool
    """Whether it tells of a change of state, which is given up last"""
    late: bool
    """Whether it could not be sent at once, or may have been sent before"""
    at_s: float = 0.0
    """When it was left, seconds of the outbox's clock"""

    @property
    def message(self) -> bytes:
        """Its JSON as it is sent: a late one says that it is `replayed`."""
        # Quotes within a JSON string are escaped: only the key itself is found.
        return self.body.replace(_PUNCTUAL, _LATE, 1) if self.late else self.body


def encoded(payload: Mapping[str, Any]) -> bytes | None:
    """Write the JSON of a message; None: it cannot be sent, which is a bug."""
    try:
        body = payloads.encode({**payload, "replayed": False})
    except (TypeError, ValueError, RecursionError):
        log.exception("MQTT: a message cannot be written as JSON and is given up")
        return None
    if len(body) > MAX_BODY_BYTES:
        text = "MQTT: a message of %d bytes is given up, at most %d are sent"
        log.error(text, len(body), MAX_BODY_BYTES)
        return None
    return body
