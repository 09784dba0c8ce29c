"""Machines that run the agent: this one, and emulated ones, above all an ARM64 one.

That is a Debian 12 root for arm64 under qemu-user. The kernel hands its
programs to qemu (binfmt_misc), so children that the agent starts run there too. Mounts
live in a name space of their own and go with the command.
"""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOOLS = (
    *("debootstrap", "qemu-aarch64-static", "qemu-x86_64-static"),
    *("update-binfmts", "unshare"),
)
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PYTHON_VERSION = "3.11"
"""Of Debian 12: decides which wheels fit"""
TAGS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
"""Wheels that run with the C library of Debian 12"""
ANEW = ("--force-reinstall", "--no-deps")
"""The agent of this checkout may have the version of the one before"""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
CPUS = {"cortex-a53": 0xD03, "cortex-a72": 0xD08, "cortex-a76": 0xD0B}
"""Processors of Raspberry Pi 3, 4 and 5 by the part number that they tell"""
OLDER = ("Nehalem", "Haswell")
"""x86 processors up to SSE4.2 and up to AVX2"""
DOT_PRODUCT = frozenset({"cortex-a76"})


class CommandError(Exception):
    """A command ended with an error."""


@dataclass(frozen=True, slots=True)
class Here:
    """The machine that we are on; the agent has a virtual environment of its own."""

    venv: Path
    name: str = "x86-64"

    def run(self, *command: str | Path) -> str:
        """Run a program of the environment; return what it printed."""
        program, *words = command
        return output((self.venv / "bin" / program, *words))

    def install(self, wheel: Path, constraints: Path) -> None:
        """Install the agent with both runtimes."""
        if not (self.venv / "bin" / "python").exists():
            output((sys.executable, "-m", "venv", self.venv))
        pip = ("pip", "install", "-q", "-c", constraints)
        self.run(*pip, f"{wheel}[tflite]")
        self.run(*pip, *ANEW, wheel)


@dataclass(frozen=True, slots=True)
class Older:
    """An older processor of our own kind, emulated; it starts no children."""

    venv: Path
    """The same as of `Here`"""
    cpu: str
    """As qemu names it"""

    @property
    def name(self) -> str:
        """Architecture and processor."""
        return f"x86-64 {self.cpu}"

    def run(self, *command: str | Path) -> str:
        """Run ``python`` with these words; return what it printed."""
        program, *words = command
        python = (self.venv / "bin" / program).resolve()
        (packages,) = self.venv.glob("lib/python*/site-packages")
        path = f"PYTHONPATH={packages}"
        qemu = ("qemu-x86_64-static", "-cpu", self.cpu, "-E", path)
        return output((*qemu, python, *words))


@dataclass(frozen=True, slots=True)
class Arm:
    """The emulated machine."""

    root: Path
    """Folder of its whole system"""
    share: Path
    """Folder that both machines see under the same path"""
    cpu: str = "cortex-a72"
    blind: bool = False
    """Whether /proc and /sys are hidden, where libraries look for the processor"""

    @property
    def name(self) -> str:
        """Architecture and processor."""
        return f"arm64 {self.cpu}{' without /sys' if self.blind else ''}"

    def make(self) -> None:
        """Install Debian, unless that was done before."""
        register()
        done = self.root / "asd" / "pyvenv.cfg"
        if done.exists():
            return
        shutil.rmtree(self.root, ignore_errors=True)  # half made
        kind = ("--arch=arm64", "--variant=minbase", "--include=python3-venv")
        output(("debootstrap", *kind, SUITE, self.root, MIRROR))
        self.run_in_root("/usr/bin/python3", "-m", "venv", "/asd")

    def install(self, wheel: Path, constraints: Path) -> None:
        """Install the agent from wheels for aarch64 alone, without a network."""
        wheels = self.share / "wheels"
        platforms = [f"--platform={tag}_aarch64" for tag in TAGS]
        pip = (sys.executable, "-m", "pip", "download", "-q", "-d", wheels)
        target = (f"--python-version={PYTHON_VERSION}", "--implementation=cp")
        only = ("--only-binary=:all:", *platforms, *target)
        output((*pip, *only, "-c", constraints, f"{wheel}[tflite]"))
        offline = ("pip", "install", "-q", "--no-index", "--find-links", wheels)
        self.run(*offline, f"{wheel}[tflite]")
        self.run(*offline, *ANEW, wheel)

    def run(self, *command: str | Path) -> str:
        """Run a program of the agent's environment; return what it printed."""
        program, *words = command
        return self.run_in_root(Path("/asd/bin") / program, *words)

    def run_in_root(self, *command: str | Path) -> str:
        """Run a program of the root with its own /proc, and /sys and `share`."""
        self.share.mkdir(parents=True, exist_ok=True)
        told = self.share / f"cpuinfo-{self.cpu}"
        told.write_text(cpuinfo(self.cpu))
        shared = Path(f"{self.root}{self.share}")
        shared.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "QEMU_CPU": self.cpu,
        }
        words = [f"{name}={value}" for name, value in environment.items()]
        seen = [
            ("mount", "-t", "proc", "proc", self.root / "proc"),
            ("mount", "--rbind", "/sys", self.root / "sys"),
            ("mount", "--bind", told, self.root / "proc" / "cpuinfo"),
        ]
        steps = [
            *([] if self.blind else seen),
            ("mount", "--bind", self.share, shared),
            ("exec", "env", "-i", *words, "chroot", self.root, *command),
        ]
        script = " && ".join(shlex.join(map(str, step)) for step in steps)
        return output(
            ("unshare", "--mount", "--propagation=private", "sh", "-c", script)
        )


def cpuinfo(cpu: str) -> str:
    """What the kernel of such a board tells of its four cores."""
    dot = " asimdrdm dcpop asimddp" if cpu in DOT_PRODUCT else ""
    lines = [
        "BogoMIPS\t: 108.00",
        f"Features\t: fp asimd evtstrm crc32{dot} cpuid",
        "CPU implementer\t: 0x41",
        "CPU architecture: 8",
        "CPU variant\t: 0x0",
        f"CPU part\t: {CPUS[cpu]:#x}",
        "CPU revision\t: 3",
    ]
    cores = ["\n".join([f"processor\t: {i}", *lines, ""]) for i in range(4)]
    return "\n".join(cores)


def register() -> None:
    """Have the kernel give programs for aarch64 to qemu."""
    if not (BINFMT / "register").exists():
        output(("mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT))
    if not (BINFMT / "qemu-aarch64").exists():
        output(("update-binfmts", "--enable", "qemu-aarch64"))


def output(command: tuple[str | Path, ...]) -> str:
    """Run a command; return what it printed.

    Raises
    ------
    CommandError
        It failed; with what it said.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        words = shlex.join(map(str, command))
        raise CommandError(f"{words}\nended with {done.returncode}:\n{done.stderr}")
    return done.stdout
