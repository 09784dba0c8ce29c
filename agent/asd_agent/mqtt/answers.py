"""What a broker answers to a message, and how a connection to it ends."""

from dataclasses import dataclass

UNHEARD = 0x10
"""Reason code of PUBACK: no matching subscribers"""
TAKEN_OVER = 0x8E
"""Reason code of DISCONNECT: session taken over"""


@dataclass(frozen=True, slots=True)
class Ack:
    """What the broker answers to a message."""

    number: int
    """That of the message"""
    refusal: str | None
    """Why it did not take it; None: it took it, or MQTT 3.1.1 cannot tell"""
    unheard: bool
    """Whether it says that nobody subscribes to the topic"""


class LinkDown(Exception):
    """There is no connection, or no longer."""


class OtherProtocol(LinkDown):
    """The broker did not understand CONNECT."""


class TakenOver(LinkDown):
    """The broker says that another client connected with our name."""


class HungUp(LinkDown):
    """The broker ended the connection and did not say why; many never do."""
