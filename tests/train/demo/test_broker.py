import logging
import socket
import time

import pytest

from asd_train.demo.broker import EmbeddedBroker
from asd_train.demo.listener import Listener


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_listens_while_it_is_used() -> None:
    with EmbeddedBroker() as broker:
        assert reachable(broker.port)
    assert not reachable(broker.port)


def test_two_do_not_get_in_each_others_way() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.port != other.port


def test_it_leaves_the_log_as_it_was() -> None:
    before = logging.getLogger("amqtt").level
    with EmbeddedBroker():
        pass
    assert logging.getLogger("amqtt").level == before


def test_it_ends_in_silence_while_somebody_is_connecting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as client:
        with EmbeddedBroker() as broker:
            client.connect(("127.0.0.1", broker.port))
            time.sleep(0.3)  # until its first byte is waited for
        assert client.recv(1) == b""
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []


def test_a_listener_hears_what_is_published() -> None:
    with EmbeddedBroker() as broker, Listener(broker.port, "demo") as listener:
        assert listener.take(0.3) == []
        listener._client.publish("factory/demo/status", "online", qos=1)
        listener._client.publish("factory/demo/pump/state", '{"v": 1}', qos=1)
        heard = listener.take(5.0)
        if len(heard) < 2:
            heard += listener.take(5.0)
    assert heard == [("status", "online"), ("state", {"v": 1})]
