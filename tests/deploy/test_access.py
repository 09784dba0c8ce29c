"""Who may write and read what: each topic of the contract, delivery and not promises.

The table, and how a case is tried, are in `faults.access`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.access import (
    BUNDLES,
    LOOK_ON,
    RIGHTS,
    SHA256,
    SYNC,
    USERS,
    WIDE,
    Case,
    cases,
    connected,
    token,
    wrong_publish,
    wrong_read,
    wrong_wide,
)
from support.close_client import Client
from support.deployed import AUDITOR, Deployed

CASES = list(cases())


@pytest.fixture(scope="module", params=[5, 4], ids=["v5", "v3.1.1"])
def protocol(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def clients(broker: Deployed, protocol: int) -> Iterator[dict[str, Client]]:
    """A client of every user."""
    with connected(broker, protocol) as made:
        yield made


@pytest.mark.broker
@pytest.mark.parametrize("case", CASES, ids=str)
def test_publish(clients: dict[str, Client], protocol: int, case: Case) -> None:
    assert not wrong_publish(clients, protocol, case)


@pytest.mark.broker
@pytest.mark.parametrize("case", CASES, ids=str)
def test_read(clients: dict[str, Client], case: Case) -> None:
    assert not wrong_read(clients, case)


@pytest.mark.broker
@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("user", USERS)
def test_a_wide_subscription_delivers_what_may_be_read(
    clients: dict[str, Client], user: str, wide: str
) -> None:
    assert not wrong_wide(clients, user, wide)


@pytest.mark.broker
def test_nobody_reads_about_the_broker(clients: dict[str, Client]) -> None:
    for user in USERS:
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


@pytest.mark.broker
def test_the_table_sees_a_wrong_right(
    clients: dict[str, Client], protocol: int
) -> None:
    own = f"factory/{USERS[0]}/anomaly"
    assert wrong_publish(clients, protocol, Case(USERS[0], own, ""))
    assert wrong_read(clients, Case("dashboard", own, ""))
    assert wrong_read(clients, Case(USERS[0], own, "r"))
