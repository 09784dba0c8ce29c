"""Files of a bundle over a real broker."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from asd_agent.bundle.staged import Staged
from asd_agent.errors import BundleError
from asd_agent.mqtt import payloads
from asd_agent.mqtt.courier import Courier
from asd_agent.mqtt.inbox import MAX_MEMBER_BYTES, Inbox
from asd_agent.mqtt.members import TopicFetcher
from asd_agent.mqtt.publisher import Publisher
from asd_agent.mqtt.topics import Topics
from support.broker import (
    WAIT_S,
    Certificates,
    Mosquitto,
    Subscriber,
    free_port,
    wait_for,
)
from support.bundles import GOLDEN, entry
from support.decisions import ALARM, ORIGIN
from support.publishers import connected, plain, publishing, put
from support.staging import MODEL, fetched, files, stage

TOPICS = Topics("factory", "press-07")
CONTENTS = files()
ALERT = payloads.anomaly(ALARM, ORIGIN)
BOTH = pytest.mark.parametrize("protocol", [5, 4])
pytestmark = pytest.mark.broker


def topic(content: bytes) -> str:
    return f"factory/bundles/{entry(content).sha256}"


@dataclass
class Fetch:
    """A fetch in a thread of its own, and all that it tells."""

    staged: Staged
    stop: threading.Event = field(default_factory=threading.Event)
    progress: list[tuple[int, int]] = field(default_factory=list)
    waiting: list[str | None] = field(default_factory=list)
    error: BundleError | None = None

    def run(self, inbox: Inbox) -> None:
        fetcher = TopicFetcher(inbox, TOPICS, waiting=self.waiting.append, wait_s=0.1)
        try:
            fetcher.fetch(
                self.staged, self.stop, lambda *both: self.progress.append(both)
            )
        except BundleError as error:
            self.error = error


@contextmanager
def fetching(publisher: Publisher, staged: Staged) -> Iterator[Fetch]:
    """Fetch beside the test; at the end the fetch must have ended."""
    fetch = Fetch(staged)
    thread = threading.Thread(target=fetch.run, args=(publisher.inbox,))
    thread.start()
    try:
        yield fetch
        thread.join(WAIT_S)
        assert not thread.is_alive()
    finally:
        fetch.stop.set()
        thread.join(WAIT_S)


@BOTH
def test_files_come_one_by_one(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Courier, "_connect", lambda self: self._open(protocol))
    staged = stage(tmp_path / "bundle", CONTENTS)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        for content in CONTENTS.values():
            put(broker.port, topic(content), content)
        with fetching(publisher, staged) as fetch:
            pass
        assert publisher.inbox.wanted() == {}
    assert fetch.error is None
    assert fetched(staged) == CONTENTS
    small, total = len(CONTENTS[GOLDEN]), sum(map(len, CONTENTS.values()))
    assert fetch.progress == [(0, total), (small, total), (total, total)]
    assert fetch.waiting == []


def test_the_largest_file_comes_and_one_byte_more_does_not(tmp_path: Path) -> None:
    large = {GOLDEN: b"g", MODEL: bytes(MAX_MEMBER_BYTES)}
    staged = stage(tmp_path / "large", large)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        for content in large.values():
            put(broker.port, topic(content), content)
        with fetching(publisher, staged) as fetch:
            pass
        assert fetch.error is None
        assert staged.missing() == {}
        staged.drop()
        larger = stage(tmp_path / "larger", {GOLDEN: bytes(MAX_MEMBER_BYTES + 1)})
        with fetching(publisher, larger) as fetch:
            pass
        assert fetch.error is not None
        assert fetch.error.reason == "too_large"
        assert "--base-url" in str(fetch.error)


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    staged.append(GOLDEN, CONTENTS[GOLDEN])
    staged.finish(GOLDEN)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        put(broker.port, topic(CONTENTS[MODEL]), CONTENTS[MODEL])  # the other is not
        with fetching(publisher, staged) as fetch:
            pass
    assert fetch.error is None
    assert fetched(staged) == CONTENTS


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        put(broker.port, topic(CONTENTS[GOLDEN]), CONTENTS[GOLDEN])
        with fetching(publisher, staged) as fetch:
            wait_for(lambda: fetch.waiting == [MODEL], "told that it waits")
            # Cleared, then published after all.
            put(broker.port, topic(CONTENTS[MODEL]), b"")
            put(broker.port, topic(CONTENTS[MODEL]), CONTENTS[MODEL], retain=False)
        assert fetch.error is None
    assert fetched(staged) == CONTENTS
    assert fetch.waiting == [MODEL, None]


def test_stop_ends_the_wait(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        with fetching(publisher, staged) as fetch:
            wait_for(lambda: fetch.waiting == [GOLDEN], "told that it waits")
            fetch.stop.set()
        assert publisher.inbox.wanted() == {}
    assert fetch.error is not None
    assert fetch.error.reason == "unavailable"


def test_a_broker_that_goes_in_the_middle_is_waited_for(tmp_path: Path) -> None:
    staged, broker = stage(tmp_path / "bundle", CONTENTS), Mosquitto(tmp_path)
    with publishing(plain(broker.port)) as publisher:
        with fetching(publisher, staged) as fetch:
            with broker:
                put(broker.port, topic(CONTENTS[GOLDEN]), CONTENTS[GOLDEN])
                wait_for(lambda: GOLDEN not in staged.missing(), "the first file")
            wait_for(lambda: fetch.waiting == [MODEL], "told that it waits")
            wait_for(lambda: not publisher.connected, "the broker is away")
            with broker:
                connected(publisher)
                # The first file is not there any more, and not needed.
                put(broker.port, topic(CONTENTS[MODEL]), CONTENTS[MODEL])
                wait_for(lambda: MODEL not in staged.missing(), "the second file")
        assert fetch.error is None
    assert fetched(staged) == CONTENTS


def test_without_a_broker_it_waits_until_it_is_stopped(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with (
        publishing(plain(free_port())) as publisher,
        fetching(publisher, staged) as fetch,
    ):
        wait_for(lambda: fetch.waiting == [GOLDEN], "told that it waits")
        fetch.stop.set()
    assert fetch.error is not None
    assert fetch.error.reason == "unavailable"


@pytest.mark.parametrize(
    "wrong",
    [bytes(len(CONTENTS[MODEL])), CONTENTS[MODEL][:-1]],
    ids=["bytes", "length"],
)
def test_wrong_content_under_a_hash_is_refused(wrong: bytes, tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        put(broker.port, topic(CONTENTS[GOLDEN]), CONTENTS[GOLDEN])
        put(broker.port, topic(CONTENTS[MODEL]), wrong)
        with fetching(publisher, staged) as fetch:
            pass
    assert fetch.error is not None
    assert fetch.error.reason == "changed"
    assert fetched(staged) == {GOLDEN: CONTENTS[GOLDEN]}


def test_longer_content_is_not_taken(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        put(broker.port, topic(CONTENTS[GOLDEN]), CONTENTS[GOLDEN] + b"x")
        with fetching(publisher, staged) as fetch:
            wait_for(lambda: publisher.inbox.ignored == 1, "the message")
            fetch.stop.set()
    assert fetched(staged) == {}


@pytest.mark.parametrize("before", [CONTENTS[MODEL][:70_000], b"\0" * 70_000])
def test_what_came_by_another_way_is_used_or_replaced(
    before: bytes, tmp_path: Path
) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    staged.append(MODEL, before)
    with Mosquitto(tmp_path) as broker, publishing(plain(broker.port)) as publisher:
        for content in CONTENTS.values():
            put(broker.port, topic(content), content)
        with fetching(publisher, staged) as fetch:
            pass
    assert fetch.error is None
    assert fetched(staged) == CONTENTS


def test_files_come_by_tls(tmp_path: Path) -> None:
    made = Certificates.make(tmp_path / "tls")
    staged = stage(tmp_path / "bundle", CONTENTS)
    with Mosquitto(tmp_path, tls=made) as broker:
        config = plain(broker.port, host="localhost", tls={"ca": made.ca})
        with publishing(config) as publisher:
            for content in CONTENTS.values():
                put(broker.port, topic(content), content, ca=made.ca)
            with fetching(publisher, staged) as fetch:
                pass
    assert fetch.error is None
    assert fetched(staged) == CONTENTS


def test_decisions_go_on_while_files_come(tmp_path: Path) -> None:
    large = {GOLDEN: b"g", MODEL: bytes(MAX_MEMBER_BYTES)}
    staged = stage(tmp_path / "bundle", large)
    anomaly = "factory/press-07/anomaly"
    with (
        Mosquitto(tmp_path) as broker,
        Subscriber(broker.port, anomaly) as seen,
        publishing(plain(broker.port)) as publisher,
    ):
        for content in large.values():
            put(broker.port, topic(content), content)
        connected(publisher)
        with fetching(publisher, staged):
            for count in range(1, 21):
                publisher.decision("gearbox", ALERT, changed=True)
                seen.wait(anomaly, count)
        assert publisher.dropped == 0
    assert staged.missing() == {}
