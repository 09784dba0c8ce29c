"""Files on a web server are looked at before devices are sent there."""

import functools
import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asd_agent.bundle.manifest import FileEntry, parse
from asd_agent.errors import BundleError, ConfigError
from asd_export import cli, web
from support.broker import Certificates, Mosquitto, free_port
from support.bundles import forge
from support.devices import Device, Herd

Handler = http.server.SimpleHTTPRequestHandler


class Quiet(Handler):
    """A good server."""

    def log_message(self, *_: object) -> None:
        return


class NoHead(Quiet):
    """A server that answers only GET, as object stores with signed addresses do."""

    def do_HEAD(self) -> None:
        self.send_error(403)


class Ranges(NoHead):
    """And gives parts."""

    def do_GET(self) -> None:
        size = Path(self.translate_path(self.path)).stat().st_size
        assert self.headers["Range"] == "bytes=0-0"
        self.send_response(206)
        self.send_header("Content-Range", f"bytes 0-0/{size}")
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")


class Elsewhere(Quiet):
    """A server that sends everybody elsewhere."""

    def do_HEAD(self) -> None:
        self.send_response(302)
        self.send_header("Location", "/other")
        self.end_headers()


class Silent(Quiet):
    """A server that does not say how long a file is."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()


@contextmanager
def served(
    folder: Path, handler: type[Handler] = Quiet, tls: Certificates | None = None
) -> Iterator[str]:
    """Serve a folder's parent; give the address of the folder."""
    made = functools.partial(handler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.cert, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        scheme = "https" if tls else "http"
        yield f"{scheme}://localhost:{server.server_port}/{folder.name}"
        server.shutdown()
        thread.join()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return forge(tmp_path / "www" / "pump-3", embeds=True, id="pump-3", version=3)


def members(bundle: Path) -> dict[str, FileEntry]:
    return parse((bundle / "manifest.json").read_bytes()).files


@pytest.mark.parametrize("handler", [Quiet, NoHead, Ranges, Silent])
def test_a_server_that_has_every_file_is_good(
    bundle: Path, handler: type[Handler]
) -> None:
    with served(bundle, handler) as url:
        web.check(url, members(bundle))
        web.check(url + "/", members(bundle))


def _shorten(bundle: Path) -> None:
    path = bundle / "golden.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def _remove(bundle: Path) -> None:
    (bundle / "model.float32.onnx").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            _shorten,
            r"golden\.safetensors: has [\d,]+ bytes there, [\d,]+ in the bundle",
        ),
        (_remove, r"model\.float32\.onnx: the server answers 404"),
    ],
)
@pytest.mark.parametrize("handler", [Quiet, NoHead])
def test_a_file_that_is_missing_or_of_another_size_is_named(
    bundle: Path, damage: Callable[[Path], None], words: str, handler: type[Handler]
) -> None:
    entries = members(bundle)
    damage(bundle)
    with (
        served(bundle, handler) as url,
        pytest.raises(BundleError, match=words) as caught,
    ):
        web.check(url, entries)
    assert "Copy the whole folder" in str(caught.value)


def test_nobody_is_sent_elsewhere(bundle: Path) -> None:
    with (
        served(bundle, Elsewhere) as url,
        pytest.raises(BundleError, match="302; devices follow no redirect"),
    ):
        web.check(url, members(bundle))


@pytest.mark.parametrize(
    "url",
    ["http://files.example/b", "https://u:p@files.example/b", "https://h/b?x=1", "b"],
)
def test_an_address_that_devices_would_not_ask_is_refused(
    bundle: Path, url: str
) -> None:
    with pytest.raises(BundleError, match="base_url"):
        web.check(url, members(bundle))


def test_certificates_are_checked(bundle: Path, tmp_path: Path) -> None:
    tls = Certificates.make(tmp_path / "tls")
    with served(bundle, Quiet, tls) as url:
        web.check(url, members(bundle), tls.ca)
        with pytest.raises(BundleError, match="--web-ca names its authority"):
            web.check(url, members(bundle))
        with pytest.raises(ConfigError, match=r"--web-ca .* cannot be used"):
            web.check(url, members(bundle), tmp_path / "none")


def test_a_server_that_is_not_there_is_told(bundle: Path) -> None:
    with pytest.raises(BundleError, match="localhost: cannot be asked"):
        web.check(f"http://localhost:{free_port()}/b", members(bundle))


@pytest.mark.broker
def test_a_push_sends_devices_there_and_no_file_to_the_broker(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        served(bundle) as url,
        Herd(Device("a", broker.port)) as herd,
    ):
        where = ["--host", "127.0.0.1", "--port", str(broker.port), "--insecure"]
        words = ["push", str(bundle), "--to", "a", "--allow-unsigned", *where]
        assert cli.main([*words, "--wait", "--base-url", url]) == 0
        assert herd["a"].running == ("pump-3", 3)
        assert not herd["a"].files
        # Another place is another wish, but who runs it is left alone.
        assert cli.main(words) == 0
        assert len(herd["a"].wishes) == 1
    out = capsys.readouterr().out
    assert f"devices fetch the files at {url}" in out
