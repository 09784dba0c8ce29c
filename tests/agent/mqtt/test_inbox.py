import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asd_agent.mqtt.inbox import DEAF_S, Inbox


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_message_is_taken_once() -> None:
    inbox = Inbox()
    inbox.want("a", 10)
    inbox.deliver("a", b"one")
    assert inbox.take("a", 0) == b"one"
    assert inbox.take("a", 0) is None


def test_only_the_newest_is_held() -> None:
    inbox = Inbox()
    inbox.want("a", 10)
    inbox.deliver("a", b"one")
    inbox.deliver("a", b"two")
    assert inbox.take("a", 0) == b"two"


def test_an_empty_message_takes_back_what_was_left() -> None:
    inbox = Inbox()
    inbox.want("a", 10)
    inbox.deliver("a", b"one")
    inbox.deliver("a", b"")
    assert inbox.take("a", 0) is None
    assert inbox.ignored == 0


def test_what_nobody_asked_for_is_ignored_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox = Inbox()
    inbox.deliver("a", b"one")
    inbox.want("a", 3)
    inbox.deliver("a", b"four")
    inbox.deliver("b", b"one")
    inbox.unwant("a")
    inbox.deliver("a", b"one")
    assert inbox.ignored == 4
    assert inbox.take("a", 0) is None
    assert "a: a message of 4 bytes is ignored, at most 3 are taken" in caplog.text


def test_asking_again_forgets_what_came_and_asks_the_broker_anew() -> None:
    inbox = Inbox()
    inbox.want("a", 10)
    before = inbox.wanted()
    inbox.deliver("a", b"one")
    inbox.want("a", 10)
    assert inbox.take("a", 0) is None
    assert inbox.wanted() != before


def test_every_wish_rings() -> None:
    rings: list[None] = []
    inbox = Inbox(lambda: rings.append(None))
    inbox.want("a", 10)
    inbox.unwant("a")
    assert len(rings) == 2


def test_who_waits_gets_the_message_or_is_let_go() -> None:
    inbox, got = Inbox(), []
    inbox.want("a", 10)
    inbox.want("b", 10)
    threads = [
        threading.Thread(target=lambda topic=topic: got.append(inbox.take(topic)))
        for topic in "ab"
    ]
    for thread in threads:
        thread.start()
    inbox.deliver("a", b"one")
    threads[0].join(5)
    inbox.unwant("b")
    threads[1].join(5)
    assert got == [b"one", None]


def test_after_a_packet_beyond_the_limit_nothing_is_read_for_a_while(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "asd_agent")
    clock = Clock()
    inbox = Inbox(clock=clock)
    inbox.want("a", 10)
    assert set(inbox.wanted()) == {"a"}
    inbox.refuse(100_000_000, 2_000_000)
    inbox.want("b", 10)
    assert inbox.wanted() == {}
    clock.now_s += DEAF_S - 1
    assert inbox.wanted() == {}
    clock.now_s += 1
    assert set(inbox.wanted()) == {"a", "b"}
    assert inbox.oversize == 1
    assert "a message of 100000000 bytes is not read" in caplog.text


@given(
    st.lists(
        st.tuples(st.sampled_from(["want", "unwant", "deliver"]), st.sampled_from("ab"))
    )
)
def test_never_more_than_one_message_a_topic(steps: list[tuple[str, str]]) -> None:
    inbox, count = Inbox(), 0
    newest: dict[str, bytes] = {}
    for step, topic in steps:
        if step == "want":
            inbox.want(topic, 10)
            newest[topic] = b""
        elif step == "unwant":
            inbox.unwant(topic)
            newest.pop(topic, None)
        else:
            count += 1
            inbox.deliver(topic, str(count).encode())
            if topic in newest:
                newest[topic] = str(count).encode()
    for topic in "ab":
        assert (inbox.take(topic, 0) or b"") == newest.get(topic, b"")
        assert inbox.take(topic, 0) is None
