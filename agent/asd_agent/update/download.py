"""The files of a bundle from a web server: by HTTPS, resumed, never too much.

Nothing that a server says is believed: sizes come from the manifest, and what it
sends counts once its hash is right. Texts of errors name neither host nor address.
"""

import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from threading import Event

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from asd_agent import __version__
from asd_agent.bundle.staged import Staged
from asd_agent.errors import BundleError, ConfigError
from asd_agent.update.address import Address
from asd_agent.update.answer import Asked, Interrupted, NoRange
from asd_agent.update.fetch import Told
from asd_agent.update.patience import Patience, Watch

log = logging.getLogger(__name__)

AGENT = f"asd-agent/{__version__}"
"""What we call ourselves"""
PATIENCE = Patience()
NETWORK_ERRORS = (OSError, HTTPError, HTTPException)
"""What connecting and reading may raise"""


@dataclass(frozen=True, slots=True)
class _File:
    """One file under way."""

    name: str
    size: int
    staged: Staged
    stop: Event
    told: Callable[[int], None]
    """Called with the bytes of the file that are here"""

    @property
    def here(self) -> int:
        return self.staged.partial(self.name)


class HttpsFetcher:
    """Asks a web server or object store for the files that are missing.

    A file that broke off goes on from its last byte where the server can do ranges.
    Proxies that the environment names are not used.

    Parameters
    ----------
    base_url
        Folder with the files, see `Address.parse`.
    ca
        Certificate authority in PEM; None: those of the system.
    patience
        How long a server is waited for.
    uniform
        Draws a number between two: pauses differ, so that a plant does not come back
        in one moment.

    Raises
    ------
    BundleError
        `malformed`: the address is not one that is asked.
    ConfigError
        `ca` cannot be read.
    """

    def __init__(
        self,
        base_url: str,
        ca: Path | None = None,
        *,
        patience: Patience = PATIENCE,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._address = Address.parse(base_url)
        self._context = _context(ca) if self._address.scheme == "https" else None
        self._patience = patience
        self._uniform = uniform

    def fetch(self, staged: Staged, stop: Event, progress: Told) -> None:
        """Bring every missing file; see `asd_agent.update.fetch.Fetcher`."""
        total = sum(entry.bytes for entry in staged.manifest.files.values())
        missing = staged.missing()
        whole = total - sum(entry.bytes for entry in missing.values())
        for name, entry in missing.items():
            self._bring(
                _File(name, entry.bytes, staged, stop, _after(whole, total, progress))
            )
            whole += entry.bytes
        progress(whole, total)

    def _bring(self, file: _File) -> None:
        resumed = file.here > 0
        self._append(file)
        try:
            file.staged.finish(file.name)
        except BundleError as error:
            # What lay here before may be what was wrong; it is gone now.
            if not resumed or error.reason != "changed":
                raise
            self._append(file)
            file.staged.finish(file.name)

    def _append(self, file: _File) -> None:
        """Try until every byte is here."""
        failures, ranges = 0, True
        while (before := file.here) < file.size:
            try:
                self._attempt(file, ranges)
            except Interrupted as error:
                if file.stop.is_set():
                    text = f"{file.name}: fetching was stopped"
                    raise BundleError(text, "unavailable") from error
                came = file.here - before
                failures = 0 if came >= self._patience.least_bytes else failures + 1
                ranges = ranges and not isinstance(error, NoRange)
                log.info("%s: %s; %d bytes came", file.name, error, came)
                if failures >= self._patience.tries:
                    raise BundleError(
                        f"{file.name}: {error}; given up after {failures} attempts. "
                        "See that the web server answers; what is here stays",
                        "unavailable",
                    ) from error
                self._pause(failures, file.stop)

    def _attempt(self, file: _File, ranges: bool) -> None:
        asked = Asked(file.name, file.size, file.here)
        headers = {"Accept-Encoding": "identity", "User-Agent": AGENT}
        if asked.at and ranges:
            headers["Range"] = f"bytes={asked.at}-"
        with self._connected() as connection, self._watched(connection, file) as watch:
            connection.request(
                "GET",
                self._address.path(file.name),
                headers=headers,
                preload_content=False,
                decode_content=False,
                enforce_content_length=False,
            )
            with contextlib.closing(connection.getresponse()) as response:
                for piece in asked.pieces(response, asked.begin(response), watch):
                    file.staged.append(file.name, piece)
                    file.told(file.here)
        if file.here < file.size:
            raise Interrupted("the server ended it too early")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        """A connection whose server has shown its certificate."""
        where, timeout_s = self._address, self._patience.connect_s
        connection: HTTPConnection
        if self._context is None:
            connection = HTTPConnection(where.host, where.port, timeout=timeout_s)
        else:
            connection = HTTPSConnection(
                where.host,
                where.port,
                timeout=timeout_s,
                cert_reqs="CERT_REQUIRED",
                ssl_context=self._context,
            )
        try:
            connection.connect()
            yield connection
        except ssl.SSLCertVerificationError as error:
            # What follows a comma names the host.
            why = error.verify_message.split(",")[0]
            raise BundleError(
                f"the certificate of the web server is not accepted: {why}. See "
                "bundle.ca of the configuration, and the clock",
                "unavailable",
            ) from error
        except NETWORK_ERRORS as error:
            log.debug("%s: %s", where.host, error)
            what = f"the connection failed ({type(error).__name__})"
            raise Interrupted(what) from error
        finally:
            connection.close()

    @contextlib.contextmanager
    def _watched(self, connection: HTTPConnection, file: _File) -> Iterator[Watch]:
        patience = self._patience
        sock = connection.sock
        if sock is None:
            raise Interrupted("the connection failed")
        connection.timeout = patience.silence_s  # of every read from now on
        watch = Watch(sock, file.stop, patience)
        try:
            with watch:
                yield watch
        except (Interrupted, BundleError, *NETWORK_ERRORS):
            # What a connection that was cut still gave means nothing.
            if not watch.cut:
                raise
        if watch.slow:
            rate = f"{patience.least_bytes_s} bytes a second"
            raise Interrupted(
                f"the server is slower than {rate} over {patience.slow_s:g} s"
            )
        if file.stop.is_set():
            raise Interrupted("stopped")

    def _pause(self, failures: int, stop: Event) -> None:
        patience = self._patience
        most_s = min(
            patience.most_pause_s, patience.pause_s * 2.0 ** max(0, failures - 1)
        )
        stop.wait(self._uniform(most_s / 2, most_s))


def _after(whole: int, total: int, progress: Told) -> Callable[[int], None]:
    return lambda here: progress(whole + here, total)


def _context(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ConfigError(
            f"bundle.ca {ca} cannot be used: {error.strerror or error}. It must be a "
            "readable PEM file"
        ) from error
