"""What a device may read and write at the broker, told from the broker's answers."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from asd_agent.doctor.finding import Finding, fail, ok, skip, warn
from asd_agent.doctor.packets import Packet, reason_text
from asd_agent.doctor.session import Session
from asd_agent.doctor.words import ms_text, number
from asd_agent.mqtt.payloads import OFFLINE
from asd_agent.mqtt.topics import Topics

REFUSED = 0x80
"""Reasons from here on are refusals"""
MOST_BEGUN = 16
"""Messages that are left unfinished at a time, if the broker allows so many"""
GRACE_S = 0.3
"""A broker that does not wait for the release would have delivered by then"""


@dataclass
class Rights:
    """What is asked for, and what is known of the broker so far."""

    topics: Topics
    sources: tuple[str, ...]
    user: str | None
    token: str
    """Tells our messages from others"""
    unfinished: int = MOST_BEGUN
    """Messages that the broker lets us leave unfinished"""
    holds_back: bool = False
    """Whether the broker was seen to deliver nothing before its release"""

    @property
    def own(self) -> str:
        """Topic that nobody else reads."""
        return f"{self.topics.root}/{self.topics.device}/doctor"

    @property
    def written(self) -> list[str]:
        """Topics that the agent publishes on, each kind once at least."""
        topics = self.topics
        found = [topics.anomaly, topics.status, topics.info, topics.health]
        found.append(topics.bundle_state)
        for source in self.sources:
            found += [topics.state(source), topics.spectrum(source)]
            found.append(topics.coverage(source))
        # One is unfinished already: that of `delivery`.
        return found[: min(MOST_BEGUN, self.unfinished) - 1]


def reading(session: Session, rights: Rights) -> Iterator[Finding]:
    """Whether the topics that the agent reads are granted.

    Raises
    ------
    Ended
        The connection was lost.
    """
    wish = rights.topics.bundle_desired
    granted = True
    for topic in (wish, rights.own):
        packet = session.subscribe(topic)
        if packet.reason >= REFUSED:
            yield _not_readable(session, rights, topic, packet)
            granted = granted and topic != wish
    if not granted:
        return
    session.listen(GRACE_S)  # what is retained comes right behind the answer
    sizes = [len(m.body) for m in session.messages if m.topic == wish]
    came = (
        f"a wish of {sizes[-1]:,} bytes came"
        if sizes
        else (
            "granted; nothing is retained there, so whether a wish would come is not "
            "shown"
        )
    )
    yield ok("reading", f"{wish}: {came}")


def delivery(
    session: Session, rights: Rights, clock: Callable[[], float] = time.monotonic
) -> Iterator[Finding]:
    """Send a message to ourselves, and see how long it takes.

    Raises
    ------
    Ended
        The connection was lost.
    """
    begun = f"begun {rights.token}".encode()
    may_begin = session.protocol == 5 and rights.unfinished >= 2
    held = session.begin(rights.own, begun) if may_begin else None
    whole = f"whole {rights.token}".encode()
    sent_s = clock()
    packet = session.publish(rights.own, whole)
    if packet.reason >= REFUSED:
        reason = reason_text(packet, session.protocol)
        yield warn(
            "delivery",
            f"{rights.own}: the broker refuses it: {reason}; the agent does not need "
            "this topic, but no message could be sent there and back",
            f"allow it: pattern write {rights.topics.root}/%u/doctor, and the same "
            "with read",
        )
        return
    if not session.wait(rights.own, whole):
        yield warn(
            "delivery",
            f"{rights.own}: taken by the broker, and never delivered: the rules "
            "forbid to read it",
            f"allow it: pattern read {rights.topics.root}/%u/doctor",
        )
        return
    took_s = clock() - sent_s
    if held is not None and held.reason < REFUSED:
        rights.holds_back = not session.wait(rights.own, begun, GRACE_S)
    text = f"{rights.own}: QoS 1, there and back in {ms_text(took_s)}"
    yield ok("delivery", text, figures={"round_trip_s": round(took_s, 4)})


def publishing(session: Session, rights: Rights) -> Iterator[Finding]:
    """Whether the topics that the agent publishes on are allowed.

    Raises
    ------
    Ended
        The connection was lost.
    """
    if session.protocol == 4:
        yield skip("publishing", "not tried: MQTT 3.1.1 has no answer for a refusal")
        return
    # Where others might read it, one word alone, and that is true or soon will be.
    tried = rights.written if rights.holds_back else [rights.topics.status]
    body = b"" if rights.holds_back else OFFLINE.encode()
    if rights.unfinished < 2:
        yield skip("publishing", "not tried: the broker takes no messages of QoS 2")
        return
    answers = {topic: session.begin(topic, body) for topic in tried}
    bad = {t: p for t, p in answers.items() if p.reason >= REFUSED}
    for topic, packet in bad.items():
        yield _not_writable(session, rights, topic, packet)
    if bad:
        return
    if rights.holds_back:
        text = f"{number(len(answers), 'topic')} of this device may be written"
    else:
        text = (
            f"{rights.topics.status} may be written; the others are not tried, as "
            "this broker was not seen to hold messages back"
        )
    yield ok("publishing", text, figures={"topics": len(answers)})


def _not_readable(
    session: Session, rights: Rights, topic: str, packet: Packet
) -> Finding:
    reason = reason_text(packet, session.protocol)
    text = f"{topic}: the broker refuses the subscription: {reason}"
    fix = f"allow it in the rules of the broker: pattern read {rights.topics.root}/%u/"
    if topic == rights.own:
        return warn("reading", f"{text}; only doctor needs it", f"{fix}doctor")
    return fail("reading", f"{text}; no bundle can be pushed", f"{fix}bundle/desired")


def _not_writable(
    session: Session, rights: Rights, topic: str, packet: Packet
) -> Finding:
    reason = reason_text(packet, session.protocol)
    user, root = rights.user or "USER", rights.topics.root
    return fail(
        "publishing",
        f"{topic}: the broker refuses it: {reason}",
        f"check mqtt.username, device and mqtt.root: the shipped rules let user {user} "
        f"write {root}/{user}/... alone; or change the rules of the broker "
        "(deploy/mosquitto/acl)",
    )
