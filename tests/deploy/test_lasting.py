"""What goes through the broker, and what of it outlasts the broker's death."""

import os
import signal
from functools import partial

import pytest

from support.deployed import AUDITOR, Deployed

A = "press-07"
DESIRED = f"factory/{A}/bundle/desired"
MEMBER = "factory/bundles/" + "0" * 64
MEMBER_BYTES = 32 << 20
"""Largest file of a bundle that goes over MQTT"""
MEMBER_S = 60.0
"""Seconds for one that large, encrypted, while the broker writes it to a busy disk"""
NO_SUBSCRIBER = 0x10
"""Reason of a PUBACK for a message that was taken and is not delivered now"""
pytestmark = pytest.mark.broker


def test_a_file_of_32_mib_goes_through_and_a_larger_one_does_not(own: Deployed) -> None:
    client = partial(own.client, wait_s=MEMBER_S)
    body = os.urandom(MEMBER_BYTES)
    with client("exporter") as exporter, client(A) as device:
        assert exporter.publish(MEMBER, body, retain=True) == NO_SUBSCRIBER
        device.subscribe(MEMBER)
        device.wait(MEMBER, body)
    greedy = client("exporter")
    greedy.send(MEMBER, bytes(MEMBER_BYTES + (2 << 20)))
    greedy.wait_for(lambda: bool(greedy.drops), "the end of the connection")
    greedy.close()
    with client(A) as device:
        device.subscribe(MEMBER)
        device.wait(MEMBER, body)


def test_what_was_acknowledged_outlasts_a_killed_broker(own: Deployed) -> None:
    state = f"factory/{A}/bundle/state"
    sent = {MEMBER: os.urandom(1 << 20), DESIRED: b"desired", state: b"state"}
    with own.client("exporter") as exporter, own.client(A) as device:
        for user, topic in ((exporter, MEMBER), (exporter, DESIRED), (device, state)):
            assert user.publish(topic, sent[topic], retain=True) == NO_SUBSCRIBER
    _saved(own)
    own.send(signal.SIGKILL)
    own.start()
    with own.client(A) as device, own.client("exporter") as exporter:
        for topic in (MEMBER, DESIRED):
            device.subscribe(topic)
            device.wait(topic, sent[topic])
        exporter.subscribe(state)
        exporter.wait(state, sent[state])


def test_a_message_for_a_device_that_is_off_outlasts_a_killed_broker(
    own: Deployed,
) -> None:
    with own.client(A, clean=False) as device:
        device.subscribe(f"factory/{A}/request/+")
    with own.client(AUDITOR) as auditor:
        for number in range(90):
            auditor.publish(f"factory/{A}/request/learn", b"%d" % number)
    _saved(own)
    own.send(signal.SIGKILL)
    own.start()
    with own.client(A, clean=False) as device:
        device.wait(f"factory/{A}/request/learn", b"89")
        wanted = [b"%d" % number for number in range(90)]
        assert device.bodies(f"factory/{A}/request/learn") == wanted


def _saved(broker: Deployed) -> None:
    """Wait until mosquitto has saved what it has acknowledged.

    It saves when it has served everybody once, some 10 ms after the acknowledgement:
    what it does for a client that comes later, it does after that.
    """
    broker.client(AUDITOR).close()
