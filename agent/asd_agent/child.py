"""Run a part of the agent in a process of its own, with limits.

What a bundle makes a library do (crash, loop, take all memory) then happens to the
child. `run` starts ``python -m asd_agent.child``, which limits itself before it
imports the module that it is asked for, numpy and all. That module writes its answer
with `answer`; an `AsdError` that it raises comes out of `run` as a `BundleError`.
"""

import ctypes
import json
import os
import re
import resource
import runpy
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from asd_agent.errors import AsdError, BundleError, RuntimeMissing

MAX_OUTPUT_BYTES = 1_048_576
"""Most that a child may write to its output"""
TAIL_BYTES = 2_000
"""End of a child's error output that is kept"""
NICENESS = 10
"""Of a child: whatever listens goes first"""
MAX_FILES = 256
"""Files that a child may have open"""
POLL_S = 0.1
"""Seconds between two looks at the clock and at `stop`"""
PR_SET_PDEATHSIG = 1
OUT_OF_MEMORY = re.compile(
    r"MemoryError|bad.alloc|[Cc]annot allocate|Memory allocation"
)
"""What Python, C++ and OpenBLAS write when memory has run out"""


def run(
    module: str,
    arguments: Sequence[str],
    *,
    timeout_s: float,
    memory_bytes: int,
    stop: Event | None = None,
) -> dict[str, Any]:
    """Run ``python -m module`` as a child and take its answer.

    Parameters
    ----------
    module
        Name of a module that calls `answer` when it is run.
    arguments
        What it finds in ``sys.argv``.
    timeout_s
        Seconds that it may take.
    memory_bytes
        Address space that it may take.
    stop
        Ends the child early when set.

    Raises
    ------
    BundleError
        `reason` is ``hung`` (it took too long), ``crashed`` (a signal, an exit code or
        no memory), ``stopped``, ``unavailable`` (it could not be started), the child's
        own, or ``error``.
    """
    limits = [str(memory_bytes), str(os.getpid())]
    command = [sys.executable, "-X", "faulthandler", "-m", "asd_agent.child", *limits]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
    except OSError as error:
        raise BundleError(
            f"{module}: no process can be started: {error.strerror}", "unavailable"
        ) from error
    with process:
        try:
            output, tail = _watch(process, module, time.monotonic() + timeout_s, stop)
        finally:
            # And whatever it started. It is not waited for yet, so its number is its.
            os.killpg(process.pid, signal.SIGKILL)
    return _result(module, process.returncode, output, tail, memory_bytes)


def begin(memory_bytes: int, parent: int | None = None) -> None:
    """Limit this process, before anything large is imported.

    Parameters
    ----------
    memory_bytes
        Address space.
    parent
        Process that started this one, which then ends with it; None: not known.
    """
    end_with(parent)
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_FILES),
        (resource.RLIMIT_AS, memory_bytes),
    ):
        _, hard = resource.getrlimit(limit)
        own = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # A service can be forbidden these calls; then it has limits of its own.
        with suppress(PermissionError):
            resource.setrlimit(limit, (own, own))
    if os.getpriority(os.PRIO_PROCESS, 0) < NICENESS:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)


def end_with(parent: int | None) -> None:
    """Let this process end when the thread that started it does.

    Parameters
    ----------
    parent
        Process that started this one; None: not known.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        raise SystemExit("the agent that started this process has gone")


def answer(result: dict[str, Any]) -> None:
    """Write what `run` gives to the parent; call it last."""
    # A library may have left half a line.
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    sys.stdout.flush()


def tell(work: Callable[[], object]) -> int:
    """Do what ends with `answer`; return the exit code.

    An `AsdError` is answered: `run` raises it in the parent.
    """
    try:
        work()
    except AsdError as error:
        reason = "no_runtime" if isinstance(error, RuntimeMissing) else "error"
        answer({"error": str(error), "reason": getattr(error, "reason", reason)})
        return error.exit_code
    return 0


def environment() -> dict[str, str]:
    """Of the parent, with the same software on the path and one thread."""
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        # The working folder is no place to import from (Python 3.11 and later).
        "PYTHONSAFEPATH": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    return os.environ | own


def _watch(
    process: subprocess.Popen[bytes], module: str, end_s: float, stop: Event | None
) -> tuple[bytes, bytes]:
    """Read until the child has ended: its output, and the end of its error output."""
    output, tail = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe, kept in ((process.stdout, output), (process.stderr, tail)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, kept)
        while True:
            _stay(module, end_s, stop)
            ready = selector.select(POLL_S)
            for key, _ in ready:
                part = os.read(key.fd, 65_536)
                key.data.extend(part)
                if not part:
                    selector.unregister(key.fileobj)
            if len(output) > MAX_OUTPUT_BYTES:
                raise BundleError(f"{module}: writes without an end", "error")
            del tail[:-TAIL_BYTES]
            if not ready and _ended(process.pid):
                return bytes(output), bytes(tail)


def _ended(pid: int) -> bool:
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, options) is not None


def _stay(module: str, end_s: float, stop: Event | None) -> None:
    """Raise if the child may not go on."""
    if stop is not None and stop.is_set():
        raise BundleError(f"{module}: stopped with the agent", "stopped")
    if time.monotonic() >= end_s:
        raise BundleError(
            f"{module}: took too long and was ended; bundle.test_timeout_s allows more",
            "hung",
        )


def _result(
    module: str, code: int, output: bytes, tail: bytes, memory_bytes: int
) -> dict[str, Any]:
    """Answer of a child that has ended, or what it failed of."""
    said = tail.decode("utf-8", "replace").strip()
    found = _last_line(output)
    if isinstance(found, dict) and "error" in found:
        reason = str(found.get("reason"))
        known = re.fullmatch("[a-z_]{1,32}", reason)
        raise BundleError(str(found["error"]), reason if known else "error")
    if OUT_OF_MEMORY.search(said) and code:
        raise BundleError(
            f"{module}: {memory_bytes:,} bytes of memory are too little; "
            f"bundle.test_memory_bytes allows more. It wrote: {said}",
            "crashed",
        )
    if code:
        how = f"ended with {code}"
        if code < 0:
            how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        raise BundleError(f"{module}: {how}. It wrote: {said or 'nothing'}", "crashed")
    if not isinstance(found, dict):
        raise BundleError(f"{module}: gives no answer. It wrote: {said}", "error")
    return found


def _last_line(output: bytes) -> object:
    """JSON of the last line; None: it is none."""
    lines = output.decode("utf-8", "replace").strip().rsplit("\n", 1)
    try:
        return json.loads(lines[-1])
    except ValueError:
        return None


def _main(arguments: Sequence[str]) -> int:
    """Limit this process, then become the module that is asked for."""
    memory_bytes, parent, module, *rest = arguments
    begin(int(memory_bytes), int(parent))
    sys.argv = [module, *rest]
    return tell(partial(runpy.run_module, module, run_name="__main__", alter_sys=True))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
