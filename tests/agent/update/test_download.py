"""Files from a real web server, good and bad."""

import gzip
import logging
import tempfile
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from asd_agent.errors import BundleError, ConfigError
from asd_agent.mqtt.payloads import sayable
from asd_agent.update.download import HttpsFetcher
from asd_agent.update.patience import Patience
from support.broker import Certificates
from support.bundles import GOLDEN
from support.staging import MODEL, NEVER, fetched, files, stage
from support.web import Answer, Request, WebServer, serve

QUICK = Patience(
    connect_s=5, silence_s=5, least_bytes_s=1000, slow_s=30, tries=3, pause_s=0.01
)
SLOW = replace(QUICK, least_bytes_s=10_000, slow_s=0.2)
CONTENTS = files()
SIZE = len(CONTENTS[MODEL])


def fetcher(server: WebServer, patience: Patience = QUICK) -> HttpsFetcher:
    return HttpsFetcher(server.base_url, patience=patience)


def refused(
    folder: Path, answer: Answer, patience: Patience = QUICK
) -> tuple[BundleError, WebServer]:
    """Fetch the last file from a bad server, which must be refused."""
    staged = stage(folder / "bundle", CONTENTS)
    staged.append(GOLDEN, CONTENTS[GOLDEN])
    staged.finish(GOLDEN)
    with (
        WebServer(CONTENTS, answer=answer) as server,
        pytest.raises(BundleError) as caught,
    ):
        fetcher(server, patience).fetch(staged, NEVER, lambda here, total: None)
    assert MODEL not in fetched(staged)
    text = str(caught.value)
    assert "localhost" not in text
    assert sayable(text) == text
    return caught.value, server


def only(name: str, bad: Answer) -> Answer:
    """Bad for one file, good for the others."""
    return lambda request: (
        bad(request) if request.path.endswith(name) else serve(request)
    )


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("tls"))


def test_files_come_by_https(tmp_path: Path, tls: Certificates) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    told: list[tuple[int, int]] = []
    with WebServer(CONTENTS, tls=tls) as server:
        HttpsFetcher(server.base_url, tls.ca).fetch(
            staged, NEVER, lambda here, total: told.append((here, total))
        )
    assert fetched(staged) == CONTENTS
    total = sum(map(len, CONTENTS.values()))
    assert told[-1] == (total, total)
    assert told == sorted(told)
    assert len(told) > 4, "told on the way as well"
    assert server.asked == [
        (f"/bundles/pump-3/{name}", None) for name in (GOLDEN, MODEL)
    ]


def test_what_is_here_is_not_asked_for(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    staged.append(GOLDEN, CONTENTS[GOLDEN])
    staged.finish(GOLDEN)
    staged.append(MODEL, CONTENTS[MODEL])
    with WebServer(CONTENTS) as server:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert fetched(staged) == CONTENTS
    assert server.asked == []


def test_a_cut_file_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    cuts = iter((70_000, 50_000))

    def cut(request: Request) -> None:
        left = next(cuts, None)
        if left is None:
            serve(request)
            return
        status = 206 if request.start else 200
        part = f"bytes {request.start}-{SIZE - 1}/{SIZE}"
        request.head(status, Content_Length=SIZE - request.start, Content_Range=part)
        request.wfile.write(request.content[request.start :][:left])

    staged = stage(tmp_path / "bundle", CONTENTS)
    with WebServer(CONTENTS, answer=only(MODEL, cut)) as server:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert fetched(staged) == CONTENTS
    ranges = [range_ for path, range_ in server.asked if path.endswith(MODEL)]
    assert ranges == [None, "bytes=70000-", "bytes=120000-"]


def test_a_restart_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    before = stage(tmp_path / "bundle", CONTENTS)
    before.append(MODEL, CONTENTS[MODEL][:123_456])
    before.close()
    staged = stage(tmp_path / "bundle", CONTENTS)
    with WebServer(CONTENTS) as server:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert fetched(staged) == CONTENTS
    assert server.asked[-1][1] == "bytes=123456-"


def whole_only(request: Request) -> None:
    request.head(200, Content_Length=SIZE)
    request.wfile.write(request.content)


def no_ranges(request: Request) -> None:
    if request.start:
        request.head(416, Content_Length=0)
    else:
        serve(request)


def chunked(request: Request) -> None:
    request.head(200, Transfer_Encoding="chunked")
    for at in range(0, SIZE, 50_000):
        piece = request.content[at : at + 50_000]
        request.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
    request.wfile.write(b"0\r\n\r\n")


def half(request: Request) -> None:
    """Give less than was asked for, as a range may."""
    start = request.start
    end = start + (SIZE - start) // 2 if SIZE - start > 30_000 else SIZE
    part = f"bytes {start}-{end - 1}/*"
    request.head(206 if start else 200, Content_Length=end - start, Content_Range=part)
    request.wfile.write(request.content[start:end])


@pytest.mark.parametrize("answer", [whole_only, no_ranges, chunked, half])
def test_servers_of_every_kind_resume(answer: Answer, tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    staged.append(MODEL, CONTENTS[MODEL][:70_001])
    with WebServer(CONTENTS, answer=only(MODEL, answer)) as server:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert fetched(staged) == CONTENTS


def test_a_wrong_beginning_from_before_is_fetched_again(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    staged.append(MODEL, b"\0" * 70_000)
    with WebServer(CONTENTS) as server:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert fetched(staged) == CONTENTS


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    answers = iter((503, 429))

    def busy(request: Request) -> None:
        status = next(answers, None)
        if status is None:
            serve(request)
        else:
            request.head(status, Content_Length=0)

    staged = stage(tmp_path / "bundle", CONTENTS)
    with WebServer(CONTENTS, answer=busy) as server:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert fetched(staged) == CONTENTS


def changed_content(request: Request) -> None:
    request.head(200, Content_Length=SIZE)
    request.wfile.write(bytes(SIZE))


def test_wrong_content_is_refused(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with (
        WebServer(CONTENTS, answer=only(MODEL, changed_content)) as server,
        pytest.raises(BundleError) as caught,
    ):
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert caught.value.reason == "changed"
    assert fetched(staged) == {GOLDEN: CONTENTS[GOLDEN]}
    assert staged.partial(MODEL) == 0


def longer(request: Request) -> None:
    request.head(200, Content_Length=SIZE * 10)
    request.wfile.write(bytes(SIZE * 10))


def longer_range(request: Request) -> None:
    part = f"bytes {request.start}-{SIZE * 10 - 1}/{SIZE * 10}"
    request.head(206, Content_Length=SIZE * 10 - request.start, Content_Range=part)
    request.wfile.write(bytes(SIZE * 10))


def shorter(request: Request) -> None:
    request.head(200, Content_Length=1000)
    request.wfile.write(bytes(1000))


def redirect(request: Request) -> None:
    request.head(302, Location=f"{request.path}.other", Content_Length=0)


def zipped(request: Request) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    request.head(200, Content_Encoding="gzip", Content_Length=len(bomb))
    request.wfile.write(bomb)


def bomb_in_pieces(request: Request) -> None:
    request.head(200, Content_Encoding="gzip", Transfer_Encoding="chunked")
    bomb = gzip.compress(bytes(50_000_000))
    request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(bomb), bomb))


def absent(request: Request) -> None:
    request.head(404, Content_Length=0)


def closed(request: Request) -> None:
    request.head(403, Content_Length=0)


def other_part(request: Request) -> None:
    request.head(206, Content_Length=10, Content_Range=f"bytes 5-14/{SIZE}")
    request.wfile.write(bytes(10))


def no_part(request: Request) -> None:
    request.head(206, Content_Length=10)
    request.wfile.write(bytes(10))


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (longer, "too_large", "2000000 bytes on the server"),
        (shorter, "changed", "has 1000 bytes on the server"),
        (redirect, "unavailable", "302"),
        (zipped, "unavailable", "compressed"),
        (bomb_in_pieces, "unavailable", "compressed"),
        (absent, "unavailable", "404"),
        (closed, "unavailable", "403"),
        (other_part, "unavailable", "another part"),
        (no_part, "unavailable", "another part"),
    ],
)
def test_some_answers_are_refused_by_their_header(
    answer: Answer, reason: str, words: str, tmp_path: Path
) -> None:
    error, server = refused(tmp_path, answer)
    assert error.reason == reason
    assert words in str(error)
    # Asked once, and nothing of it was kept.
    assert len(server.asked) == 1
    assert [p.name for p in (tmp_path / "bundle").iterdir() if MODEL in p.name] == []


def test_a_longer_rest_is_refused_by_its_header(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    staged.append(MODEL, CONTENTS[MODEL][:1000])
    with (
        WebServer(CONTENTS, answer=only(MODEL, longer_range)) as server,
        pytest.raises(BundleError) as caught,
    ):
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert caught.value.reason == "too_large"
    assert staged.partial(MODEL) == 1000


def endless(request: Request) -> None:
    request.head(200)
    while True:
        request.wfile.write(bytes(65_536))


def endless_chunks(request: Request) -> None:
    request.head(200, Transfer_Encoding="chunked")
    while True:
        request.wfile.write(b"10000\r\n%s\r\n" % bytes(65_536))


def one_too_many(request: Request) -> None:
    request.head(200)
    request.wfile.write(request.content + b"x")


@pytest.mark.parametrize("answer", [endless, endless_chunks, one_too_many])
def test_endless_data_end_at_the_size_of_the_manifest(
    answer: Answer, tmp_path: Path
) -> None:
    error, _ = refused(tmp_path, answer)
    assert error.reason == "too_large"
    kept = sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir())
    assert kept < SIZE + 10_000


def dripping(request: Request) -> None:
    request.head(200, Content_Length=SIZE)
    for at in range(SIZE):
        request.wfile.write(request.content[at : at + 1])
        request.wfile.flush()
        threading.Event().wait(0.01)


def dripping_header(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        request.wfile.write(b"X-More: 1\r\n"[:5])
        request.wfile.flush()
        threading.Event().wait(0.01)


def endless_continue(request: Request) -> None:
    while True:
        request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        threading.Event().wait(0.01)


@pytest.mark.parametrize("answer", [dripping, dripping_header, endless_continue])
def test_a_slow_server_is_given_up(answer: Answer, tmp_path: Path) -> None:
    error, server = refused(tmp_path, answer, SLOW)
    assert error.reason == "unavailable"
    assert "slower than 10000 bytes a second" in str(error)
    assert len(server.asked) == SLOW.tries


def test_tls_does_not_hold_up_the_end_of_a_slow_server(
    tmp_path: Path, tls: Certificates
) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with (
        WebServer(CONTENTS, tls=tls, answer=only(MODEL, dripping)) as server,
        pytest.raises(BundleError, match="slower than") as caught,
    ):
        HttpsFetcher(server.base_url, tls.ca, patience=replace(SLOW, tries=1)).fetch(
            staged, NEVER, lambda here, total: None
        )
    assert caught.value.reason == "unavailable"
    # What came is kept, and is what the server sent, not what TLS made of it.
    staged.close()
    again = stage(tmp_path / "bundle", CONTENTS)
    kept = again.partial(MODEL)
    assert 0 < kept < 1000
    assert (tmp_path / "bundle" / f".{MODEL}").read_bytes() == CONTENTS[MODEL][:kept]


def silent(request: Request) -> None:
    request.head(200, Content_Length=SIZE)
    request.wfile.write(request.content[:10])
    threading.Event().wait(1)


def always_cut(request: Request) -> None:
    request.head(200, Content_Length=SIZE)
    request.wfile.write(request.content[:10])


def nothing(request: Request) -> None:
    request.wfile.write(b"")


def junk(request: Request) -> None:
    request.wfile.write(b"\xff\x00 no http at all\r\n\r\n")


def two_lengths(request: Request) -> None:
    request.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"
    )


def no_length(request: Request) -> None:
    request.head(200, Content_Length="many")


def bad_chunks(request: Request) -> None:
    request.head(200, Transfer_Encoding="chunked")
    request.wfile.write(b"-5\r\nhello\r\nzz\r\n")


@pytest.mark.parametrize(
    "answer",
    [always_cut, nothing, junk, two_lengths, no_length, bad_chunks],
)
def test_a_broken_server_is_given_up_after_some_attempts(
    answer: Answer, tmp_path: Path
) -> None:
    error, server = refused(tmp_path, answer)
    assert error.reason == "unavailable"
    assert "given up after 3 attempts" in str(error)
    assert len(server.asked) == 3


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    error, server = refused(tmp_path, silent, replace(QUICK, silence_s=0.1))
    assert error.reason == "unavailable"
    assert len(server.asked) == 3


PARTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 206 Partial\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 -1\r\n",
        b"Content-Length: 30\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Range: bytes 10-29/30\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Encoding: br\r\n",
        b"\r\n",
        b"5\r\n",
        b"ffffffffffffffff\r\n",
        b"-1;x\r\n",
        b"abcdefghijklmnopqrstuvwxyz0123",
    ]
)


def test_whatever_a_server_sends_the_file_is_right_or_refused() -> None:
    contents, data = {GOLDEN: b"abcdefghijklmnopqrstuvwxyz0123"}, b""
    once = replace(QUICK, tries=1)

    @settings(max_examples=150, deadline=None)
    @given(
        sent=st.lists(PARTS | st.binary(max_size=20), max_size=8).map(b"".join),
        here=st.sampled_from([0, 10]),
    )
    def right_or_refused(sent: bytes, here: int) -> None:
        nonlocal data
        data = sent
        with tempfile.TemporaryDirectory() as folder:
            staged = stage(Path(folder) / "bundle", contents)
            staged.append(GOLDEN, contents[GOLDEN][:here])
            try:
                fetcher(server, once).fetch(staged, NEVER, lambda here, total: None)
            except BundleError:
                assert fetched(staged) == {}
            else:
                assert fetched(staged) == contents
            staged.close()

    def answer(request: Request) -> None:
        request.wfile.write(data)

    with WebServer(contents, answer=answer) as server:
        right_or_refused()


def test_a_server_that_is_away_is_given_up(tmp_path: Path) -> None:
    with WebServer(CONTENTS) as server:
        pass
    staged = stage(tmp_path / "bundle", CONTENTS)
    with pytest.raises(BundleError, match="the connection failed") as caught:
        fetcher(server).fetch(staged, NEVER, lambda here, total: None)
    assert caught.value.reason == "unavailable"
    assert "localhost" not in str(caught.value)


def held(request: Request) -> None:
    request.head(200, Content_Length=SIZE)
    request.wfile.write(request.content[:10])
    threading.Event().wait(5)


@pytest.mark.parametrize("answer", [held, nothing])
def test_stop_is_heard_while_a_server_is_waited_for(
    answer: Answer, tmp_path: Path
) -> None:
    staged, stop = stage(tmp_path / "bundle", CONTENTS), threading.Event()
    patience = Patience(silence_s=100, pause_s=100)
    ended: list[BundleError] = []

    def run(server: WebServer) -> None:
        try:
            fetcher(server, patience).fetch(staged, stop, lambda here, total: None)
        except BundleError as error:
            ended.append(error)

    with WebServer(CONTENTS, answer=only(MODEL, answer)) as server:
        thread = threading.Thread(target=run, args=(server,))
        thread.start()
        stop.wait(0.3)
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
    assert ended[0].reason == "unavailable"
    assert "stopped" in str(ended[0])


def expired(folder: Path) -> Certificates:
    """A certificate that is its own authority, and ended yesterday."""
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    made = Certificates(folder / "cert.pem", folder / "cert.pem", folder / "key.pem")
    made.cert.write_bytes(cert.public_bytes(Encoding.PEM))
    form = PrivateFormat.PKCS8
    made.key.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    return made


def untrusted(folder: Path, tls: Certificates, ca: Path | None) -> BundleError:
    staged = stage(folder / "bundle", CONTENTS)
    with (
        WebServer(CONTENTS, tls=tls) as server,
        pytest.raises(BundleError, match="certificate") as caught,
    ):
        HttpsFetcher(server.base_url, ca, patience=QUICK).fetch(
            staged, NEVER, lambda here, total: None
        )
    assert server.asked == []
    assert caught.value.reason == "unavailable"
    assert "localhost" not in str(caught.value)
    return caught.value


def test_another_authority_is_refused(tmp_path: Path, tls: Certificates) -> None:
    other = Certificates.make(tmp_path / "other")
    untrusted(tmp_path / "a", tls, other.ca)
    untrusted(tmp_path / "b", tls, None)


def test_another_host_name_is_refused(tmp_path: Path) -> None:
    other = Certificates.make(tmp_path / "tls", host="other.example")
    assert "Hostname mismatch" in str(untrusted(tmp_path, other, other.ca))


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    old = expired(tmp_path / "tls")
    assert "expired" in str(untrusted(tmp_path, old, old.ca))


def test_https_is_never_spoken_to_a_server_without(tmp_path: Path) -> None:
    staged = stage(tmp_path / "bundle", CONTENTS)
    with WebServer(CONTENTS) as server, pytest.raises(BundleError) as caught:
        HttpsFetcher(server.base_url.replace("http:", "https:"), patience=QUICK).fetch(
            staged, NEVER, lambda here, total: None
        )
    assert caught.value.reason == "unavailable"
    assert server.asked == []


def test_an_unreadable_authority_names_the_key(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pem", tmp_path):
        with pytest.raises(ConfigError, match=r"bundle\.ca .* cannot be used"):
            HttpsFetcher("https://files.example", path)


@pytest.mark.parametrize(
    "base_url",
    [
        "http://files.example/a",
        "https://u:s3cret@files.example/a",
        "https://files.example/a/../b",
    ],
)
def test_an_address_is_looked_at_before_anything_is_asked(base_url: str) -> None:
    with pytest.raises(BundleError) as caught:
        HttpsFetcher(base_url)
    assert caught.value.reason == "malformed"
    assert "s3cret" not in str(caught.value)


def test_names_that_lead_elsewhere_are_no_names_of_files() -> None:
    for name in ("../model.onnx", "/etc/passwd", "a/b", "..", "%2e%2e"):
        with pytest.raises(ValueError, match="pattern"):
            stage(Path("unused"), {**CONTENTS, name: b"x"})


def test_the_log_tells_of_attempts_without_the_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asd_agent")
    refused(tmp_path, always_cut)
    said = [r.getMessage() for r in caplog.records]
    assert f"{MODEL}: the server ended it too early; 10 bytes came" in said
    assert "localhost" not in caplog.text
