"""The shipped broker, provisioned by its own scripts."""

import getpass
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from support.broker import free_port, wait_for
from support.close_client import HOST, Client

SCRIPTS = Path(__file__).parents[2] / "deploy" / "mosquitto"
AUDITOR = "auditor"
"""A user that may read and write everything: what a site adds in `acl.site`"""


def provision(script: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of the shipped scripts."""
    command = (SCRIPTS / f"provision-{script}.sh", *words)
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Deployed:
    """mosquitto with the shipped files; a context manager that can be restarted."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Provision a broker in `folder`, with the users of the access rules.

        Parameters
        ----------
        options
            Further ones of ``provision-broker.sh``.
        """
        self.folder = folder / "etc"
        self.port = free_port()
        self.certificate_port = free_port()
        self.options: list[str | Path] = ["--folder", self.folder]
        self._process: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(parents=True)
        rules = f"user {AUDITOR}\ntopic readwrite #\n"
        (self.folder / "acl.site").write_text(rules)
        done = provision(
            "broker",
            *self.options,
            *("--data", folder / "data", "--user", getpass.getuser()),
            *("--port", str(self.port), "--bind", "127.0.0.1"),
            *("--certificates", str(self.certificate_port)),
            *("--account", AUDITOR, *options, HOST),
        )
        assert done.returncode == 0, done.stderr

    @property
    def ca(self) -> Path:
        """Certificate of the authority that devices trust."""
        return self.folder / "tls" / "ca.pem"

    def device(self, name: str, *options: str) -> Path:
        """Provision a device; return the folder with what it needs."""
        place = self.folder / "devices" / name
        words = (*self.options, "--device-folder", place, *options, name)
        done = provision("device", *words)
        assert done.returncode == 0, done.stderr
        return place

    def password(self, user: str) -> str:
        """Password of a device or another user."""
        kind = "devices" if (self.folder / "devices" / user).is_dir() else "users"
        file = self.folder / kind / user / "mqtt-password"
        return file.read_text().strip()

    def prepare(
        self,
        user: str | None,
        protocol: int = 5,
        *,
        password: str | None = None,
        certificate: Path | None = None,
        **options: Any,
    ) -> Client:
        """A client that does not connect yet; it has the user's own password."""
        if password is None and user is not None and certificate is None:
            password = self.password(user)
        port = self.certificate_port if certificate else self.port
        known = (port, self.ca, user, password, protocol)
        return Client(*known, certificate=certificate, **options)

    def client(self, user: str, protocol: int = 5, **options: Any) -> Client:
        """A client of one user, connected."""
        made = self.prepare(user, protocol, **options)
        made.connect()
        assert made.reason == 0, f"{user}: {made.reason:#x}"
        return made

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        file = self.folder / "mosquitto.conf"
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(("mosquitto", "-c", file), stderr=log)
        wait_for(self._listens, "mosquitto listens")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; wait for its end if that ends it."""
        assert self._process is not None
        self._process.send_signal(number)
        if number is not signal.SIGHUP:
            self._process.wait(10)
            self._process = None

    def log(self) -> str:
        """What it has said so far."""
        return (self.folder / "log").read_text()

    def __enter__(self) -> "Deployed":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.send(signal.SIGTERM)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
