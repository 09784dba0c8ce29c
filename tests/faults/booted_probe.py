"""What a service may and may not do: run as one, it tries, and prints a JSON object.

It is run by the Python of the booted system, with its standard library alone. Each act
is named after what it tries; the answer is ``ok`` or the error of the kernel.
"""

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PER_LINUX32 = 8
PTRACE_SEIZE = 0x4206
"""Traces without a stop, unlike PTRACE_ATTACH"""
ADJ_FREQUENCY = 2
READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE
THREADS = 120
"""More than the agent has with 16 sources"""
CHILD = """
import ctypes, os, resource, signal
assert ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0) == 0
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
os.setpriority(os.PRIO_PROCESS, 0, 10)
"""
"""What `asd_agent.child` does to itself: it ends with its parent, and has limits"""


def check(result: int) -> None:
    """Raise the error of a call of the C library."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def write(path: str) -> None:
    """Write a new file and remove it."""
    file = Path(path)
    file.write_text("x")
    file.unlink()


def change(path: str) -> None:
    """Open a file that is there to write to it."""
    with Path(path).open("r+b"):
        pass


def read(path: str) -> None:
    """Read a file, which must hold something."""
    with Path(path).open("rb") as file:
        assert file.read(1), "empty"


def look(path: str) -> None:
    """List a folder, which must hold something."""
    assert list(Path(path).iterdir()), "empty"


def open_socket(family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> None:
    """Make a socket."""
    socket.socket(family, kind, protocol).close()


def listen() -> None:
    """Take connections at an address of this machine."""
    with socket.create_server(("127.0.0.1", 0)):
        pass


def use_tmp() -> None:
    """Write a file that has no name."""
    with tempfile.TemporaryFile() as file:
        file.write(b"x")


def start_threads() -> None:
    """Have many threads at a time."""
    done = threading.Event()
    try:
        for _ in range(THREADS):
            threading.Thread(target=done.wait).start()
    finally:
        done.set()


def map_code() -> None:
    """Memory that can be written and executed."""
    mmap.mmap(-1, 4096, prot=READ_WRITE | mmap.PROT_EXEC).close()


def turn_to_code() -> None:
    """Memory that becomes executable after it was written."""
    area = mmap.mmap(-1, 4096)
    place = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(area)))
    check(LIBC.mprotect(place, 4096, mmap.PROT_READ | mmap.PROT_EXEC))


def make_suid() -> None:
    """A program that runs as its owner, whoever starts it."""
    with tempfile.NamedTemporaryFile(dir="/var/lib/asd") as file:
        os.fchmod(file.fileno(), 0o4755)


def adjust(modes: int) -> None:
    """Ask for the state of the clock, or change it."""
    # Four bytes of modes in the byte order of the machine; all else is zero.
    timex = ctypes.create_string_buffer(modes.to_bytes(4, sys.byteorder), 512)
    check(LIBC.adjtimex(timex))


def set_clock() -> None:
    """Set it to what it is."""
    time.clock_settime(time.CLOCK_REALTIME, time.time())


def make_group() -> None:
    """Make a control group beside that of this process."""
    # The line of systemd's own hierarchy: the only one, or that with its name.
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, name, own = line.split(":", 2)
        if number == "0" or name == "name=systemd":
            root = Path("/sys/fs/cgroup")
            place = root / "systemd" if (root / "systemd").is_dir() else root
            probe = place / own.lstrip("/") / "probe"
            probe.mkdir()
            probe.rmdir()
            return


def run_child() -> None:
    """Start a process as the agent does."""
    subprocess.run([sys.executable, "-c", CHILD], check=True, start_new_session=True)


NEEDED: dict[str, Callable[[], object]] = {
    "write /var/lib/asd": lambda: write("/var/lib/asd/probe"),
    "write /tmp": use_tmp,
    "read /etc/asd.yaml": lambda: read("/etc/asd.yaml"),
    "read /etc/asd/mqtt-password, root:asd 0640": lambda: read(
        "/etc/asd/mqtt-password"
    ),
    "read a file root:audio 0640": lambda: read("/srv/audio"),
    "/proc/cpuinfo": lambda: read("/proc/cpuinfo"),
    "/sys/devices/system/cpu": lambda: read("/sys/devices/system/cpu/possible"),
    "/sys/class": lambda: look("/sys/class"),
    "/sys/class/thermal": lambda: Path("/sys/class/thermal").stat(),
    "TCP, IPv4": lambda: open_socket(socket.AF_INET),
    "TCP, IPv6": lambda: open_socket(socket.AF_INET6),
    "Unix socket": lambda: open_socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "find an address by name": lambda: socket.getaddrinfo("localhost", 1883),
    "listen on the loopback": listen,
    "ask whether the clock is set": lambda: adjust(0),
    "run a child with limits": run_child,
    "choose processors": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    f"{THREADS} threads": start_threads,
}
"""What the agent cannot do without"""

REFUSED: dict[str, Callable[[], object]] = {
    "write /etc": lambda: write("/etc/probe"),
    "change /etc/asd.yaml": lambda: change("/etc/asd.yaml"),
    "change /etc/asd/mqtt-password": lambda: change("/etc/asd/mqtt-password"),
    "write /opt/asd": lambda: write("/opt/asd/probe"),
    "write /srv": lambda: write("/srv/probe"),
    "read /etc/shadow": lambda: read("/etc/shadow"),
    "look into /root": lambda: look("/root"),
    "look into /home": lambda: look("/home"),
    "see the files of other services": lambda: look("/var/lib/private/other"),
    "see other processes": lambda: read("/proc/1/status"),
    "send another process a signal": lambda: os.kill(1, signal.SIGCONT),
    "trace another process": lambda: check(LIBC.ptrace(PTRACE_SEIZE, 1, 0, 0)),
    "memory both written and executed": map_code,
    "memory executed after it was written": turn_to_code,
    "raw packets": lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "raw IP": lambda: open_socket(socket.AF_INET, socket.SOCK_RAW, 1),
    "netlink": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "a user namespace": lambda: check(LIBC.unshare(CLONE_NEWUSER)),
    "a network namespace": lambda: check(LIBC.unshare(CLONE_NEWNET)),
    "mount": lambda: check(LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
    "become root": lambda: os.setuid(0),
    "give a file away": lambda: os.chown("/var/lib/asd", 12345, 12345),
    "a set-user-id file": make_suid,
    "change the clock's rate": lambda: adjust(ADJ_FREQUENCY),
    "set the clock": set_clock,
    "set the host name": lambda: socket.sethostname(socket.gethostname()),
    "run in real time": lambda: os.sched_setscheduler(
        0, os.SCHED_FIFO, os.sched_param(1)
    ),
    "another personality": lambda: check(LIBC.personality(PER_LINUX32)),
    "change the control groups": make_group,
}
"""What nobody who takes the agent over shall do"""


def outcome(act: Callable[[], object]) -> str:
    """What becomes of an act, in a process of its own: it may change that process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, tried(act).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text or "killed"


def tried(act: Callable[[], object]) -> str:
    """``ok``, or why not."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "ok"


def main() -> int:
    """Try everything."""
    found = {
        kind: {name: outcome(act) for name, act in acts.items()}
        for kind, acts in (("needed", NEEDED), ("refused", REFUSED))
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
