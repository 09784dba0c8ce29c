"""Whoever may ask gets the figures, and nobody who asks can harm the agent."""

import dataclasses
import logging
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asd_agent.config import MetricsConfig
from asd_agent.health import exposition
from asd_agent.health.heat import KINDS, Throttling
from asd_agent.health.metrics import CLIENT_S, CLOSE_S, MAX_HEAD_BYTES, Metrics
from asd_agent.health.snapshot import Snapshot, SourceSnapshot
from asd_agent.health.system import Room, System
from asd_agent.scoring.decision import State
from support.broker import free_port, wait_for

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
SYSTEM = System(
    cpu_temperature_c=48.3,
    throttling=Throttling(("under_voltage",), ("under_voltage", "throttled")),
    disk=Room(free_bytes=5_000_000, total_bytes=9_000_000, writable=True),
    rss_bytes=81_000_000,
    children_rss_bytes=30_000_000,
    clock_synced=False,
    uptime_s=4_000.5,
    load_1min=0.7,
    cpu_count=4,
)


def full(kind: type[Any], **fixed: object) -> Any:
    """A snapshot in which each number differs from the others."""
    names = [field.name for field in dataclasses.fields(kind)]
    numbers = {name: 1000.0 + i for i, name in enumerate(names)}
    return kind(**(numbers | fixed))


SOURCE: SourceSnapshot = full(
    SourceSnapshot, name="gearbox", state="anomalous", reason="clipped", degraded=True
)
FULL: Snapshot = full(
    Snapshot,
    version="1.2.3",
    bundle_id="pump-a",
    bundle_version=3,
    sources=(SOURCE, SourceSnapshot("fan", "learning")),
    system=SYSTEM,
    connected=True,
)
LEAST = Snapshot(version="1.2.3", uptime_s=1.5)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(page: bytes) -> Samples:
    """Values by name and labels, read by Prometheus's own parser."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_each_number_is_there_once_under_its_source() -> None:
    samples = parsed(exposition.page(FULL))
    for field in dataclasses.fields(SOURCE):
        if field.name in {"name", "state", "reason"}:
            continue
        stem = field.name.removesuffix("_s")
        found = [
            value
            for (name, labels), value in samples.items()
            if re.fullmatch(rf"asd_source_{stem}(_seconds|_ratio)?(_total)?", name)
            and labels == {("source", "gearbox")}
        ]
        assert found == [float(getattr(SOURCE, field.name))], field.name
    of_agent = [found for (_, labels), found in samples.items() if not labels]
    assert set(of_agent) > {
        getattr(FULL, field.name)
        for field in dataclasses.fields(FULL)
        if isinstance(getattr(FULL, field.name), float)
    }
    assert value(samples, "asd_cpu_temperature_celsius") == 48.3
    assert value(samples, "asd_disk_free_bytes") == 5_000_000
    assert value(samples, "asd_clock_synced") == 0
    assert value(samples, "asd_mqtt_connected") == 1
    assert value(samples, "asd_agent_info", version="1.2.3") == 1
    assert value(samples, "asd_bundle_info", id="pump-a", version="3") == 1


def test_what_is_not_known_is_left_out() -> None:
    samples = parsed(exposition.page(LEAST))
    assert {name for name, _ in samples} == {
        "asd_agent_info",
        "asd_agent_uptime_seconds",
    }
    samples = parsed(exposition.page(FULL))
    of_fan = {name for name, labels in samples if ("source", "fan") in labels}
    assert of_fan == {"asd_source_state", "asd_source_degraded"}
    bare = dataclasses.replace(SYSTEM, disk=None, throttling=None)
    names = {
        name
        for name, _ in parsed(exposition.page(dataclasses.replace(FULL, system=bare)))
    }
    assert not [name for name in names if "disk" in name or "throttled" in name]


def test_one_state_at_a_time() -> None:
    assert tuple(state.value for state in State) == exposition.STATES
    samples = parsed(exposition.page(FULL))
    for source, state in (("gearbox", "anomalous"), ("fan", "learning")):
        assert {
            word: value(samples, "asd_source_state", source=source, state=word)
            for word in exposition.STATES
        } == {word: float(word == state) for word in exposition.STATES}
    new = Snapshot("1", 1.0, sources=(SourceSnapshot("fan", "brand_new"),))
    samples = parsed(exposition.page(new))
    assert value(samples, "asd_source_state", source="fan", state="brand_new") == 1
    assert sum(samples.values()) == 3  # the uptime, the version, the state


def test_why_a_microphone_is_not_believed() -> None:
    samples = parsed(exposition.page(FULL))
    found = [set(labels) for name, labels in samples if name == "asd_source_reason"]
    assert found == [{("source", "gearbox"), ("reason", "clipped")}]


def test_throttling_by_kind() -> None:
    samples = parsed(exposition.page(FULL))
    for kind in KINDS:
        now = value(samples, "asd_throttled", kind=kind)
        since = value(samples, "asd_throttled_since_boot", kind=kind)
        assert now == (kind == "under_voltage")
        assert since == (kind in {"under_voltage", "throttled"})


def test_names_follow_the_conventions() -> None:
    for family in text_string_to_metric_families(exposition.page(FULL).decode()):
        assert re.fullmatch(r"asd_[a-z0-9_]+", family.name)
        assert family.documentation
        assert not re.search(r"_(s|ms|mb|percent|count)$", family.name)
        ends = {sample.name.endswith("_total") for sample in family.samples}
        assert ends == {family.type == "counter"}


def test_the_page_lists_every_metric_and_no_other() -> None:
    listed = re.findall(r"^\| `(asd_\w+)` \|", DOCS.read_text(encoding="utf-8"), re.M)
    assert sorted(set(listed)) == sorted(listed)
    assert set(listed) == {name for name, _ in parsed(exposition.page(FULL))}


def test_the_page_says_which_labels_each_has() -> None:
    labels: dict[str, set[str]] = {}
    for name, pairs in parsed(exposition.page(FULL)):
        labels.setdefault(name, set()).update(label for label, _ in pairs)
    rows = re.findall(
        r"^\| `(asd_\w+)` \| ([^|]*) \|", DOCS.read_text(encoding="utf-8"), re.M
    )
    for name, cell in rows:
        assert set(re.findall(r"`(\w+)`", cell)) == labels[name], name


@contextmanager
def serving(
    snapshot: Snapshot | Exception = FULL,
    port: int | None = None,
    host: str = "127.0.0.1",
    retry_s: float = 0.05,
) -> Iterator[tuple[Metrics, int]]:
    def read() -> Snapshot:
        if isinstance(snapshot, Exception):
            raise snapshot
        return snapshot

    port = port or free_port()
    metrics = Metrics(MetricsConfig(host=host, port=port), read, retry_s=retry_s)
    metrics.start()
    try:
        yield metrics, port
    finally:
        metrics.close()
        assert not metrics.listening


def listening(metrics: Metrics) -> None:
    wait_for(lambda: metrics.listening, "the port is ours")


def get(port: int, path: str = "/metrics") -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
        assert found.headers["Content-Type"].startswith("text/plain; version=")
        body: bytes = found.read()
        return body


def refused(port: int, path: str, method: str = "GET") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)  # noqa: S310
    with caught.value as error:
        return error.code


def test_prometheus_is_served() -> None:
    with serving() as (metrics, port):
        listening(metrics)
        for path in ("/metrics", "/metrics?name[]=asd_source_score"):
            assert parsed(get(port, path)) == parsed(exposition.page(FULL))
        assert refused(port, "/") == 404
        assert refused(port, "/metrics/../etc/passwd") == 404
        assert refused(port, "/metrics", "POST") == 501
        assert parsed(get(port))
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 10)


def test_this_machine_alone_is_served() -> None:
    with serving() as (metrics, port):
        listening(metrics)
        for host in ("127.0.0.2", "::1"):
            with pytest.raises(OSError, match=r"refused|unreachable|Cannot assign"):
                socket.create_connection((host, port), 10)


def test_nothing_that_tells_of_the_machine_is_said() -> None:
    with serving() as (metrics, port):
        listening(metrics)
        answer = talk(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        missing = talk(port, b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
    for text in (answer, missing):
        assert b"Server: asd-agent\r\n" in text
        for word in (b"Python", b"/root", b"/home", socket.gethostname().encode()):
            assert word not in text.replace(b"Server: asd-agent", b"")


def talk(port: int, question: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.settimeout(10)
        answer = b""
        try:
            client.sendall(question)
            while part := client.recv(65_536):
                answer += part
        except ConnectionError:
            pass  # thrown out, with or without an answer
        return answer


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET " + b"x" * 2 * MAX_HEAD_BYTES,
        b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
    ids=["nothing", "blank", "tls", "no path", "version", "long", "many headers"],
)
def test_nonsense_is_answered_or_dropped(question: bytes) -> None:
    with serving() as (metrics, port):
        listening(metrics)
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(question)
        talk(port, question + b"\r\n\r\n")
        assert parsed(get(port))


def test_many_who_say_nothing_take_seconds_and_no_threads() -> None:
    with serving() as (metrics, port):
        listening(metrics)
        threads = threading.active_count()
        idle = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(3)]
        try:
            idle[1].sendall(b"GET /metrics HTTP/1.1\r\n")
            begun_s = time.monotonic()
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/metrics", timeout=60
            ) as found:
                assert found.status == 200
            assert time.monotonic() - begun_s < 3 * CLIENT_S + 10
            assert threading.active_count() == threads
        finally:
            for client in idle:
                client.close()


def test_a_drop_at_a_time_does_not_keep_the_port() -> None:
    with serving() as (metrics, port):
        listening(metrics)
        begun_s = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            while time.monotonic() - begun_s < CLIENT_S + 20:
                try:
                    client.sendall(b"G")
                except ConnectionError:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the port is kept")
        assert time.monotonic() - begun_s >= CLIENT_S * 0.9
        assert parsed(get(port))


def test_a_port_that_is_taken_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with serving(port=port) as (metrics, _):
            wait_for(lambda: len(caplog.records) >= 2, "it is tried again")
            assert not metrics.listening
            other.close()
            listening(metrics)
            assert parsed(get(port))
    said = caplog.records[0].getMessage()
    assert f"metrics: 127.0.0.1:{port} cannot be listened on: Address already" in said
    assert "Set metrics.host and metrics.port to what is free" in said
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours_is_told(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(host=host, retry_s=60) as (metrics, _):
        wait_for(lambda: bool(caplog.records), "it is told")
        begun_s = time.monotonic()
        metrics.close()
        assert time.monotonic() - begun_s < CLOSE_S
    assert len(caplog.records) == 1


def test_figures_that_cannot_be_read_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(ZeroDivisionError("a bug")) as (metrics, port):
        listening(metrics)
        assert [refused(port, "/metrics") for _ in range(3)] == [500] * 3
    said = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert [r.getMessage() for r in said] == ["metrics: the figures cannot be read"]


def test_a_missing_library_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asd_agent.health.exposition", None)
    monkeypatch.delattr("asd_agent.health.exposition")
    with serving() as (metrics, _):
        wait_for(lambda: bool(caplog.records), "it is told")
        assert not metrics.listening
    assert "pip install prometheus-client" in caplog.text


def test_an_end_before_the_beginning() -> None:
    metrics = Metrics(MetricsConfig(port=free_port()), lambda: LEAST)
    metrics.close()
    assert not metrics.listening
