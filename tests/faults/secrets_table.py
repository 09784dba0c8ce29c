"""Where a secret could be shown, and is not.

``PYTHONPATH=tests python -m faults.secrets_table`` runs the real commands against a
real broker, with a password, a wrong one and a private key, and looks for them in all
that comes out: what is logged at every level, printed, published, written to disk, told
to the system about the process, and packed for support. Also as base64 and in URLs.
"""

import base64
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asd_agent
from asd_agent.config_file import load
from faults.configurations import answer, cases
from faults.transport_rows import PASSWORD, USER, WRONG, Site
from support.agents import Agent, agent
from support.broker import free_port, wait_for
from support.close_client import Client

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Surface:
    """Something that people, or other programs, can read."""

    name: str
    raw: bytes

    def shows(self, secrets: list[bytes]) -> list[bytes]:
        """The secrets in it."""
        return [secret for secret in secrets if secret in self.raw]


class Bench:
    """One agent, its secrets, and its broker."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.site = site
        self.metrics_port = free_port()
        self.made: Agent = agent(folder / "agent")
        self.made.configure(pace="realtime", loop=True)
        self._plain = self.made.file.read_text()
        self._secret = folder / "secret"
        self.key = site.clients["right"].key
        self.env = os.environ | {
            "PYTHONPATH": str(Path(asd_agent.__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
        }

    def secrets(self) -> list[bytes]:
        """Every form in which a secret could be shown."""
        words = [PASSWORD, WRONG]
        forms = [word.encode() for word in words]
        forms += [quote(word).encode() for word in words]
        forms += [base64.b64encode(word.encode()).rstrip(b"=")[:-1] for word in words]
        lines = self.key.read_text().splitlines()
        return forms + [line.encode() for line in lines if "-----" not in line]

    def configure(self, password: str) -> Path:
        """Write the configuration and the file with the password."""
        self._secret.write_text(password + "\n")
        pair = self.site.clients["right"]
        self.made.file.write_text(
            f"{self._plain}\n"
            f"mqtt:\n  host: localhost\n  port: {self.site.ports['good']}\n"
            f"  username: {USER}\n  password_file: {self._secret}\n  interval_s: 0.1\n"
            f"  tls: {{ca: {self.site.authority.ca}, cert: {pair.cert}, "
            f"key: {pair.key}}}\n"
            f"metrics: {{port: {self.metrics_port}}}\n"
        )
        return self.made.file

    def run(self, *words: str | Path) -> bytes:
        """Run a command to its end, good or bad; all that it says."""
        done = subprocess.run(
            [sys.executable, "-m", "asd_agent", "--verbose", *map(str, words)],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.stdout

    def live(self, until: bytes) -> Iterator[Surface]:
        """Run the agent until it has said something; what it shows meanwhile."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                [*self._command(), "--config", str(self.made.file)],
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

            def said() -> bytes:
                return os.pread(log.fileno(), 10_000_000, 0)

            try:
                wait_for(lambda: until in said(), until.decode(), PATIENCE_S)
                time.sleep(1)  # and publishes
                of = Path("/proc") / str(process.pid)
                yield Surface("arguments of the process", (of / "cmdline").read_bytes())
                yield Surface("its environment", (of / "environ").read_bytes())
                yield Surface("metrics", self._metrics())
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
            yield Surface("log at every level", said())

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "asd_agent", "--verbose"]

    def _metrics(self) -> bytes:
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=5) as page:
                raw: bytes = page.read()
                return raw
        except OSError:
            return b""


def surfaces(
    folder: Path, site: Site, *, whole: bool = True
) -> Iterator[tuple[Surface, list[bytes]]]:
    """All that can be read, and the secrets that must not be in it.

    Parameters
    ----------
    whole
        Whether ``doctor``, which takes long, is asked in every way.
    """
    bench = Bench(folder, site)
    secrets = bench.secrets()
    for surface in (*_commands(bench, whole), *_bad_configurations(folder)):
        yield surface, secrets


def _commands(bench: Bench, whole: bool) -> Iterator[Surface]:
    config = bench.configure(PASSWORD)
    learnt = bench.run("learn", "--config", config, "--from", bench.made.normal)
    yield Surface("learn", learnt)
    yield Surface("check", bench.run("check", "--config", config))
    yield Surface("configuration, as text", repr(load(config)).encode())
    yield Surface("configuration, as JSON", load(config).model_dump_json().encode())
    yield from _named("right password", bench.live(b"MQTT: connected"))
    yield Surface("what was published", _published(bench.site))
    yield from _doctor(bench, config, "right password", whole)
    bench.configure(WRONG)
    yield from _named("wrong password", bench.live(b"trying again"))
    if whole:
        yield from _doctor(bench, config, "wrong password", whole)
    files = sorted(path for path in bench.made.folder.rglob("*") if path.is_file())
    raw = b"".join(bytes(path) + path.read_bytes() for path in files)
    yield Surface("files of the agent", raw)


def _named(name: str, found: Iterator[Surface]) -> Iterator[Surface]:
    for surface in found:
        yield Surface(f"{surface.name}, {name}", surface.raw)


def _doctor(bench: Bench, config: Path, name: str, whole: bool) -> Iterator[Surface]:
    packed = bench.made.folder.parent / "support.zip"
    words = ("doctor", "--config", config, "--seconds", "1", "--force")
    yield Surface(f"doctor, {name}", bench.run(*words, "--bundle", packed))
    if whole:
        yield Surface(f"doctor as JSON, {name}", bench.run(*words, "--json"))
    if packed.exists():
        with zipfile.ZipFile(packed) as file:
            raw = b"".join(file.read(member) for member in file.namelist())
        packed.unlink()
        yield Surface(f"file for support, {name}", raw)


def _published(site: Site) -> bytes:
    client: Client = site.auditor()
    client.subscribe("#")
    time.sleep(0.3)
    client.close()
    return b"".join(got.topic.encode() + got.body for got in client.messages)


def _bad_configurations(folder: Path) -> Iterator[Surface]:
    """Errors about files in which a secret stands where it should not."""
    for i, case in enumerate(cases()):
        if WRONG in case.name:
            place = folder / f"case-{i}"
            place.mkdir()
            found, _ = answer(case, place)
            yield Surface(f"error about {case.name[:40]}...", found.text.encode())


def main() -> int:
    """Print the table; 1 if anything is shown."""
    shown = total = 0
    print("| surface | bytes | secrets shown |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="asd-") as name, Site(Path(name)) as site:
        for surface, secrets in surfaces(Path(name), site):
            found = surface.shows(secrets)
            total += 1
            shown += bool(found)
            print(
                f"| {surface.name} | {len(surface.raw):,} | {len(found)} |", flush=True
            )
    print(f"\nwithout a secret: {total - shown} of {total}")
    return 1 if shown else 0


if __name__ == "__main__":
    sys.exit(main())
