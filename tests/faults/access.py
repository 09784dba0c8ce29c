"""Who may write and read what at the shipped broker: each topic of the contract.

``PYTHONPATH=tests python -m faults.access`` prints how many attempts ended as they
should, with MQTT 5 and 3.1.1. A case is a user, a topic and a verb. Whether a message
was let through is seen by `auditor`, who reads and writes everything; that it was not,
by a later message that came: by delivery, not by what the broker promises.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from support.close_client import NOT_AUTHORIZED, Client
from support.deployed import AUDITOR, Deployed

A, B = "press-07", "press-08"
USERS = (A, "exporter", "dashboard")
SHA256 = "0" * 64
READ, WRITE = "r", "w"
RIGHTS = {
    # Topic of device {}: rights of that device, of exporter, of dashboard.
    "factory/{}/anomaly": ("w", "r", "r"),
    "factory/{}/status": ("w", "r", "r"),
    "factory/{}/info": ("w", "r", "r"),
    "factory/{}/health": ("w", "r", "r"),
    "factory/{}/doctor": ("rw", "", ""),
    "factory/{}/gearbox/state": ("w", "r", "r"),
    "factory/{}/gearbox/coverage": ("w", "", "r"),
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
    "factory/{}/doctor/deeper": ("", "", ""),
    "factory/{}/gearbox/anything": ("", "", ""),
    "factory/{}/gearbox/doctor": ("", "", ""),
    "factory/{}/coverage": ("", "", ""),
    "factory/{}/bundle": ("", "", ""),
    "factory/{}/gearbox/valve/state": ("", "", ""),
    "factory/{}/gearbox/valve/coverage": ("", "", ""),
    "homeassistant/device/{}/config": ("", "", "r"),
    "elsewhere/{}/anomaly": ("", "", ""),
}
BUNDLES = {
    f"factory/bundles/{SHA256}": ("r", "rw", ""),
    f"factory/bundles/{SHA256}/deeper": ("", "", ""),
}
OTHERS = ("homeassistant/status", "factory", "factory/bundles")
"""Topics of which nobody has any"""
WIDE = ("#", "factory/#", "+/+/#", "$share/all/factory/#")
STRANGERS = (
    (None, None),
    (A, ""),
    (A, "wrong"),
    (A, "of another"),
    ("press-99", "of another"),
    ("PRESS-07", "its own"),
    ("+", "of another"),
    ("", "of another"),
)
"""Users, and whose password they say"""
SYNC = {A: f"factory/{A}/request/sync", B: f"factory/{B}/request/sync"}
LOOK_ON = "factory/sync/status"
"""Readable by exporter and dashboard"""
TOKENS = count()

Clients = Mapping[str, Client]


@dataclass(frozen=True, slots=True)
class Case:
    """What a user may do with a topic."""

    user: str
    topic: str
    rights: str

    def __str__(self) -> str:
        return f"{self.user}-{self.topic.replace('/', '.')}"


def cases() -> Iterator[Case]:
    """Every user with every topic, its own and those of another device."""
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
        yield from (Case(user, topic, "") for user in USERS)


def token() -> bytes:
    """A body that no other message has."""
    return b"message %d" % next(TOKENS)


@contextmanager
def connected(broker: Deployed, protocol: int) -> Iterator[dict[str, Client]]:
    """A client of every user; the auditor reads everything."""
    with ExitStack() as stack:
        made = {
            user: stack.enter_context(broker.client(user, protocol))
            for user in (*USERS, AUDITOR)
        }
        made[AUDITOR].subscribe("#")
        yield made


def wrong_publish(clients: Clients, protocol: int, case: Case) -> str:
    """Let a user publish; what is not as it should be, if anything."""
    user, auditor = clients[case.user], clients[AUDITOR]
    body, allowed = token(), WRITE in case.rights
    reason = user.publish(case.topic, body, retain=True)
    _wait_for_all(auditor)
    arrived = body in auditor.bodies(case.topic)
    auditor.clear()
    auditor.subscribe(case.topic)  # once more: what is retained comes again
    _wait_for_all(auditor)
    kept = body in auditor.bodies(case.topic)
    auditor.publish(case.topic, b"", retain=True)
    auditor.clear()
    if (arrived, kept) != (allowed, allowed):
        return f"arrived: {arrived}, kept: {kept}, allowed: {allowed}"
    if protocol == 5 and (reason == NOT_AUTHORIZED) is allowed:
        return f"reason {reason:#x}"  # older clients are told that all is well
    return ""


def wrong_read(clients: Clients, case: Case) -> str:
    """Let a user subscribe; what is not as it should be, if anything."""
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
    found = user.bodies(case.topic)
    user.unsubscribe(case.topic)
    auditor.publish(case.topic, b"", retain=True)
    user.clear()
    auditor.clear()
    return "" if found == wanted else f"read {found}, expected {wanted}"


def wrong_wide(clients: Clients, user: str, wide: str) -> str:
    """Let a user subscribe to everything; what it gets that is not its own."""
    auditor, client = clients[AUDITOR], clients[user]
    client.subscribe(wide)
    sent = {
        topic.format(name): rights[USERS.index(user)]
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
    client.unsubscribe(wide)
    client.clear()
    auditor.clear()
    return "" if got == readable else f"differs in {sorted(got ^ readable)}"


def wrong_stranger(
    broker: Deployed, protocol: int, user: str | None, password: str | None
) -> str:
    """Let somebody in who must not; what is not as it should be, if anything."""
    known = {"of another": B, "its own": A}
    if password in known:
        password = broker.password(known[password])
    client = broker.prepare(user, protocol, password=password, client_id=A)
    client.connect()
    client.close()
    return "" if client.reason == NOT_AUTHORIZED else f"let in: {client.reason}"


def wrong_takeover(broker: Deployed, protocol: int, client_id: str) -> str:
    """Let B take a client id of A; what is not as it should be, if anything."""
    desired = f"factory/{A}/bundle/desired"
    with broker.client(A, protocol, client_id=f"asd-{A}") as own:
        own.subscribe(desired)
        with broker.client(B, protocol, client_id=client_id):
            with broker.client(AUDITOR) as auditor:
                auditor.publish(desired, b"take this")
            own.wait(desired, b"take this")
        return f"dropped: {own.drops}" if own.drops else ""


def _wait_for_all(auditor: Client) -> None:
    last = token()
    auditor.publish("sync", last)
    auditor.wait("sync", last)


def attempts(broker: Deployed, protocol: int) -> Iterator[tuple[str, str, str]]:
    """Make every attempt: its kind, what it is, and what is not as it should be."""
    with connected(broker, protocol) as clients:
        for case in cases():
            kind = f"publish, {'allowed' if WRITE in case.rights else 'refused'}"
            yield kind, str(case), wrong_publish(clients, protocol, case)
        for case in cases():
            kind = f"read, {'allowed' if READ in case.rights else 'refused'}"
            yield kind, str(case), wrong_read(clients, case)
        for user in USERS:
            for wide in WIDE:
                yield "wide", f"{user} {wide}", wrong_wide(clients, user, wide)
    for stranger, password in STRANGERS:
        wrong = wrong_stranger(broker, protocol, stranger, password)
        yield "stranger", f"{stranger}, {password}", wrong
    for client_id in (A, f"asd-{A}", AUDITOR):
        wrong = wrong_takeover(broker, protocol, client_id)
        yield "take-over", client_id, wrong


def main() -> int:
    """Print how many attempts of each kind ended as they should."""
    right, total = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory(prefix="asd-") as name:
        broker = Deployed(Path(name), "--save-every", "3600")
        for device in (A, B):
            broker.device(device)
        with broker:
            for protocol, version in ((5, "5"), (4, "3.1.1")):
                for kind, what, wrong in attempts(broker, protocol):
                    row = f"MQTT {version}, {kind}"
                    total[row] += 1
                    right[row] += not wrong
                    if wrong:
                        print(f"{row}: {what}: {wrong}", file=sys.stderr)
    print("| attempts | as they should be |\n|---|---|")
    for row, count_ in sorted(total.items()):
        print(f"| {row} | {right[row]} of {count_} |")
    print(f"\nas they should be: {right.total()} of {total.total()}")
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
