"""Boot a Debian with the shipped unit: ``python -m faults.booted``.

A root made by debootstrap (kept) is copied, the agent is installed there by
``deploy/install.sh``, and systemd is booted in it by systemd-nspawn. `booted_collect`
runs in it: it looks at the agent, tries what a service may do (`booted_probe`), and
stalls it by SIGSTOP, in its scorer and in its source (`booted_stall`). Printed is

- what the service is: user, rights, exposure, seconds to the start,
- what it may do, beside the same acts of a service without the unit's limits,
- the seconds from each stall to the end of the process and to the next readiness.

Needs root, a network, and the Debian packages debootstrap and systemd-container::

    sudo PYTHONPATH=tests .venv/bin/python -m faults.booted

Without a sound card, ``DeviceAllow=char-alsa`` is not tried.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.booted_table import problems, report
from support.sounds import noise, wav

PROJECT = Path(__file__).parents[2]
INSIDE = ("booted_collect.py", "booted_probe.py", "booted_stall.py")
"""Files of this folder that run in the booted system"""
TOOLS = ("debootstrap", "systemd-nspawn")
MIRROR = "http://deb.debian.org/debian"
INCLUDED = "systemd,systemd-sysv,dbus,python3,python3-venv,libportaudio2"
RATE_HZ = 16_000
SECONDS = 60
"""Of sound, played again and again"""
MOST_S = 900
"""Seconds that all of it may take"""
CONFIG = """\
device: booted
state_dir: /var/lib/asd
mqtt:
  host: 127.0.0.1
  port: 1883
  tls: false
  username: booted
  password_file: /etc/asd/mqtt-password
sources:
  - name: fan
    recording: /srv/fan.wav
    pace: realtime
    loop: true
    learn: {minutes: 0.5}
"""
"""There is no broker: the agent must not miss it"""
COLLECT = """\
[Service]
Type=oneshot
Environment=WHEEL={wheel} PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/bin/python3 /srv/booted_collect.py
ExecStopPost=/bin/systemctl poweroff --no-block
StandardOutput=append:/collected/log
StandardError=append:/collected/log
[Install]
WantedBy=multi-user.target
"""
PROBE = """\
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/bin/python3 /srv/booted_probe.py
StandardOutput=append:/collected/{name}.json
"""
SAME_USER = "User=asd-agent\n"
"""As the agent has: another would be given its state folder"""


@dataclass(frozen=True, slots=True)
class Debian:
    """A release that the agent is installed on."""

    suite: str
    python: str
    """Version of its Python: decides which packages fit"""
    glibc: int
    """Its C library, 2.x"""


SUITES = {
    "bookworm": Debian("bookworm", "3.11", 36),
    "trixie": Debian("trixie", "3.13", 41),
}


def output(*words: str | Path) -> str:
    """Run a command; return what it printed.

    Raises
    ------
    RuntimeError
        It ended with an error.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr}{done.stdout}")
    return done.stdout


def make_root(work: Path, debian: Debian) -> Path:
    """Install Debian, unless that was done before."""
    root, whole = work / debian.suite, work / f"{debian.suite}.whole"
    if not whole.exists():
        print(f"making {root}; this takes a minute or two", file=sys.stderr)
        shutil.rmtree(root, ignore_errors=True)
        words = ("--variant=minbase", f"--include={INCLUDED}", debian.suite)
        output("debootstrap", *words, root, MIRROR)
        whole.touch()
    return root


def fetch(work: Path, debian: Debian) -> Path:
    """Build the agent, fetch what it needs; the folder of the packages."""
    folder = work / f"packages-{debian.suite}"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("asd-*.whl"):
        old.unlink()
    pip = (sys.executable, "-m", "pip")
    output(*pip, "wheel", "-q", "--no-deps", "-w", folder, PROJECT)
    (wheel,) = folder.glob("asd-*.whl")
    machine = platform.machine()
    tags = [f"manylinux_2_{n}_{machine}" for n in range(debian.glibc, 16, -1)]
    platforms = [f"--platform={tag}" for tag in (*tags, f"manylinux2014_{machine}")]
    target = (f"--python-version={debian.python}", "--only-binary=:all:")
    constraints = ("-c", PROJECT / "constraints.txt")
    output(
        *pip, "download", "-q", "-d", folder, *target, *platforms, *constraints, wheel
    )
    return folder


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """A copy of a root that may be changed."""
    with tempfile.TemporaryDirectory(prefix="asd-", dir=root.parent) as folder:
        place = Path(folder) / "root"
        output("cp", "-a", "--reflink=auto", root, place)
        yield place


def furnish(place: Path, packages: Path) -> None:
    """Put the agent, its configuration, and what looks at it into a root."""
    srv = place / "srv"
    shutil.copytree(packages, srv / "packages")
    for name in ("deploy", "systemd"):
        shutil.copytree(PROJECT / name, srv / "asd" / name)
    shutil.copy(PROJECT / "constraints.txt", srv / "asd")
    for name in INSIDE:
        shutil.copy(Path(__file__).parent / name, srv)
    wav(srv / "fan.wav", noise(SECONDS * RATE_HZ, seed=1), RATE_HZ)
    (place / "etc/asd.yaml").write_text(CONFIG)
    device = srv / "device-files"
    device.mkdir()
    (device / "mqtt-password").write_text("not a secret\n")
    (device / "mqtt-password").chmod(0o600)
    (place / "home" / "somebody").mkdir()
    (srv / "audio").write_text("x")
    other = place / "var/lib/private/other"
    other.mkdir(parents=True)
    (other / "state").write_text("x")
    (place / "var/lib/private").chmod(0o700)
    (place / "etc/hosts").write_text("127.0.0.1 localhost\n")


def install(place: Path, wheel: str) -> None:
    """Install the agent as one would in the making of an image."""
    words = ("--wheel", wheel, "--packages", "/srv/packages")
    more = ("--device-files", "/srv/device-files")
    said = nspawn(place, "/srv/asd/deploy/install.sh", *words, *more)
    print(said, end="")
    nspawn(place, "/bin/sh", "-c", "chown root:audio /srv/audio; chmod 640 /srv/audio")
    units = place / "etc/systemd/system"
    shipped = (PROJECT / "systemd/asd-agent.service").read_bytes()
    assert (units / "asd-agent.service").read_bytes() == shipped
    (units / "asd-probe.service").write_bytes(shipped)
    (units / "asd-probe.service.d").mkdir()
    limits = PROBE.format(name="asd-probe") + SAME_USER
    (units / "asd-probe.service.d" / "probe.conf").write_text(limits)
    (units / "asd-bare.service").write_text(PROBE.format(name="asd-bare"))
    (units / "asd-collect.service").write_text(COLLECT.format(wheel=wheel))
    nspawn(place, "systemctl", "--quiet", "enable", "asd-collect.service")


def nspawn(place: Path, *words: str | Path) -> str:
    """Run a command in a root, without booting it."""
    own = ("--register=no", "--keep-unit", "--console=pipe", "--private-network")
    return output("systemd-nspawn", "-q", "-D", place, *own, *words)


def boot(place: Path, collected: Path) -> dict[str, Any]:
    """Boot a root until it powers itself off; what was found."""
    words = ["--register=no", "--keep-unit", "--console=pipe", "--private-network"]
    # nspawn forbids what a machine of its own may do: to ask for the clock's state.
    words += ["--system-call-filter=adjtimex clock_adjtime"]
    words += [f"--bind={collected}:/collected", "--boot"]
    with subprocess.Popen(
        ["systemd-nspawn", "-q", "-D", place, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as machine:
        try:
            machine.wait(MOST_S)
        finally:
            machine.terminate()  # which powers off what still runs in it
    try:
        found: dict[str, Any] = json.loads((collected / "found.json").read_bytes())
    except OSError as error:
        log = collected / "log"
        said = log.read_text() if log.exists() else "nothing"
        raise RuntimeError(f"nothing was found; it said: {said}") from error
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Make, install, boot, print; 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(
        prog="python -m faults.booted",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    work = Path("/var/tmp/asd-booted")  # noqa: S108 - root's, and it stays
    parser.add_argument("--work", type=Path, default=work, help="folder to work in")
    parser.add_argument("--suite", choices=SUITES, default="bookworm")
    said = parser.parse_args(argv)
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        print(f"needs root and {', '.join(TOOLS)}", file=sys.stderr)
        return 2
    debian = SUITES[said.suite]
    said.work.mkdir(parents=True, exist_ok=True)
    collected = said.work / "collected"
    shutil.rmtree(collected, ignore_errors=True)
    collected.mkdir()
    root, packages = make_root(said.work, debian), fetch(said.work, debian)
    with copied(root) as place:
        furnish(place, packages)
        install(place, next(f"/srv/packages/{p.name}" for p in packages.glob("asd-*")))
        found = boot(place, collected)
    print(report(found))
    wrong = list(problems(found))
    for problem in wrong:
        print(f"WRONG: {problem}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
