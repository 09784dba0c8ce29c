"""Who may write and read what: each topic of the contract, delivery and not promises.

Each case is a user, a topic and a verb. Whether a message was let through is seen by
`auditor`, who reads and writes everything; that it was not, by a later message that
came.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from support.close_client import NOT_AUTHORIZED, Client
from support.deployed import AUDITOR, Deployed

A, B = "press-07", "press-08"
SHA256 = "0" * 64
READ, WRITE = "r", "w"
RIGHTS = {
    # Topic of device {}: rights of that device, of exporter, of dashboard.
    "factory/{}/anomaly": ("w", "r", "r"),
    "factory/{}/status": ("w", "r", "r"),
    "factory/{}/info": ("w", "r", "r"),
    "factory/{}/health": ("w", "r", "r"),
    "factory/{}/gearbox/state": ("w", "r", "r"),
    "factory/{}/gearbox/spectrum": ("w", "", "r"),
    "factory/{}/bundle/state": ("w", "r", "r"),
    "factory/{}/bundle/desired": ("r", "rw", ""),
    "factory/{}/request/learn": ("r", "", ""),
    "factory/{}/response/learn": ("w", "", ""),
    "homeassistant/device/asd_{}/config": ("w", "", "r"),
    # No part of the contract.
    "factory/{}": ("", "", ""),
    "factory/{}/anything": ("", "", ""),
    "factory/{}/anomaly/deeper": ("", "", ""),
    "factory/{}/gearbox/anything": ("", "", ""),
    "factory/{}/bundle": ("", "", ""),
    "factory/{}/gearbox/valve/state": ("", "", ""),
    "homeassistant/device/{}/config": ("", "", "r"),
    "elsewhere/{}/anomaly": ("", "", ""),
}
BUNDLES = {
    f"factory/bundles/{SHA256}": ("r", "rw", ""),
    f"factory/bundles/{SHA256}/deeper": ("", "", ""),
}
OTHERS = ("homeassistant/status", "factory", "factory/bundles")
"""Topics of which nobody has any"""
SYNC = {A: f"factory/{A}/request/sync", B: f"factory/{B}/request/sync"}
LOOK_ON = "factory/sync/status"
"""Readable by exporter and dashboard"""


@dataclass(frozen=True, slots=True)
class Case:
    """What a user may do with a topic."""

    user: str
    topic: str
    rights: str

    def __str__(self) -> str:
        return f"{self.user}-{self.topic.replace('/', '.')}"


def cases() -> Iterator[Case]:
    for topic, (device, exporter, dashboard) in (RIGHTS | BUNDLES).items():
        yield Case(A, topic.format(A), device)
        yield Case("exporter", topic.format(A), exporter)
        yield Case("dashboard", topic.format(A), dashboard)
    yield Case(A, f"factory/{A}x/anomaly", "")
    for topic, (_, _, dashboard) in RIGHTS.items():
        yield Case(A, topic.format(B), "")
        # A pattern holds for every user: nobody is a device by the way.
        foreign = topic.startswith("homeassistant/device/{}")
        yield Case("exporter", topic.format("exporter"), "")
        yield Case("dashboard", topic.format("dashboard"), dashboard if foreign else "")
    for topic in OTHERS:
        yield from (Case(user, topic, "") for user in (A, "exporter", "dashboard"))


CASES = list(cases())
TOKENS = count()


@pytest.fixture(scope="module", params=[5, 4], ids=["v5", "v3.1.1"])
def protocol(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def clients(broker: Deployed, protocol: int) -> Iterator[dict[str, Client]]:
    """A client of every user."""
    users = (A, "exporter", "dashboard", AUDITOR)
    made = {user: broker.client(user, protocol) for user in users}
    made[AUDITOR].subscribe("#")
    yield made
    for client in made.values():
        client.close()


def token() -> bytes:
    return b"message %d" % next(TOKENS)


@pytest.mark.broker
@pytest.mark.parametrize("case", CASES, ids=str)
def test_publish(clients: dict[str, Client], protocol: int, case: Case) -> None:
    user, auditor = clients[case.user], clients[AUDITOR]
    body, last = token(), token()
    reason = user.publish(case.topic, body, retain=True)
    auditor.publish("sync", last)
    auditor.wait("sync", last)
    allowed = WRITE in case.rights
    assert (body in auditor.bodies(case.topic)) is allowed
    if protocol == 5:  # older clients are told that all is well
        assert (reason == NOT_AUTHORIZED) is not allowed
    auditor.clear()
    auditor.subscribe(case.topic)  # once more: what is retained comes again
    last = token()
    auditor.publish("sync", last)
    auditor.wait("sync", last)
    assert (body in auditor.bodies(case.topic)) is allowed
    auditor.publish(case.topic, b"", retain=True)
    auditor.clear()


@pytest.mark.broker
@pytest.mark.parametrize("case", CASES, ids=str)
def test_read(clients: dict[str, Client], case: Case) -> None:
    user, auditor = clients[case.user], clients[AUDITOR]
    sync = SYNC.get(case.user, LOOK_ON)
    retained, live, last = token(), token(), token()
    auditor.publish(case.topic, retained, retain=True)
    user.subscribe(sync)
    user.subscribe(case.topic)
    auditor.publish(case.topic, live)
    auditor.publish(sync, last)
    user.wait(sync, last)
    wanted = [retained, live] if READ in case.rights else []
    assert user.bodies(case.topic) == wanted
    user.unsubscribe(case.topic)
    auditor.publish(case.topic, b"", retain=True)
    user.clear()
    auditor.clear()


@pytest.mark.broker
@pytest.mark.parametrize("wide", ["#", "factory/#", "+/+/#", "$share/all/factory/#"])
@pytest.mark.parametrize("user", [A, "dashboard", "exporter"])
def test_a_wide_subscription_delivers_what_may_be_read(
    clients: dict[str, Client], user: str, wide: str
) -> None:
    auditor, client = clients[AUDITOR], clients[user]
    client.subscribe(wide)
    sent = {
        topic.format(name): rights[(A, "exporter", "dashboard").index(user)]
        if name == A or user != A or topic in BUNDLES
        else ""
        for topic, rights in (RIGHTS | BUNDLES).items()
        for name in (A, B)
    }
    for topic in sent:
        auditor.publish(topic, b"sent")
    sync, last = SYNC.get(user, LOOK_ON), token()
    auditor.publish(sync, last)
    client.wait(sync, last)
    got = {message.topic for message in client.messages} - {sync}
    readable = {topic for topic, rights in sent.items() if READ in rights}
    if not wide.startswith(("#", "+")):
        readable = {topic for topic in readable if topic.startswith("factory/")}
    assert got == readable
    client.unsubscribe(wide)
    client.clear()
    auditor.clear()


@pytest.mark.broker
def test_nobody_reads_about_the_broker(clients: dict[str, Client]) -> None:
    for user in (A, "exporter", "dashboard"):
        client, last = clients[user], token()
        client.subscribe("$SYS/#")  # retained: it would come at once
        sync = SYNC.get(user, LOOK_ON)
        client.subscribe(sync)
        clients[AUDITOR].publish(sync, last)
        client.wait(sync, last)
        assert {message.topic for message in client.messages} == {sync}
        client.clear()


def test_every_topic_of_the_contract_is_in_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mqtt.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `<root>/([^`]+)`", page, re.M)
    assert len(named) >= 6
    for topic in named:
        filled = topic.replace("<device>", "{}").replace("<source>", "gearbox")
        filled = re.sub(r"<sha256>", SHA256, filled)
        assert f"factory/{filled}" in RIGHTS | BUNDLES, topic
