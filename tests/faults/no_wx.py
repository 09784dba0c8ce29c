"""Runs a command of the agent where no memory may be written and then run.

``python -m faults.no_wx HOW PROBES ARGUMENTS`` forbids it to this process and to all
that it starts, tries it, and becomes ``asd-agent ARGUMENTS``. What was tried before and
after is written to the file PROBES.
"""

import ctypes
import json
import mmap
import os
import platform
import struct
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 38, 22, 65
FILTER = 2
"""Mode of seccomp"""
REFUSE_EXEC_GAIN = 1
LOAD, EQUAL, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
"""Instructions of the filter"""
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # the error EPERM
NUMBER_AT, ARCH_AT, PROT_AT = 0, 4, 32
"""Where the filter finds the number of a call, the machine and the third argument"""
MACHINES = {
    # AUDIT_ARCH, mmap, mprotect, pkey_mprotect
    "x86_64": (0xC000003E, 9, 10, 329),
    "aarch64": (0xC00000B7, 222, 226, 288),
}
PROT_WRITE, PROT_EXEC = 2, 4
LIBC = ctypes.CDLL(None, use_errno=True)


def by_kernel() -> None:
    """Forbid it as newer versions of systemd do."""
    _call(LIBC.prctl, PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)


def by_filter() -> None:
    """Forbid it as older versions of systemd do, by the numbers of system calls."""
    arch, map_, protect, protect_key = MACHINES[platform.machine()]
    both = PROT_WRITE | PROT_EXEC
    program = [
        (LOAD, 0, 0, ARCH_AT),
        (EQUAL, 0, 10, arch),  # else: allow
        (LOAD, 0, 0, NUMBER_AT),
        (EQUAL, 3, 0, map_),
        (EQUAL, 5, 0, protect),
        (EQUAL, 4, 0, protect_key),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, PROT_AT),  # of mmap
        (AND, 0, 0, both),
        (EQUAL, 3, 2, both),
        (LOAD, 0, 0, PROT_AT),  # of mprotect
        (ANY_BIT, 1, 0, PROT_EXEC),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    raw = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    code = ctypes.create_string_buffer(raw)
    fprog = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    pointer = ctypes.create_string_buffer(fprog)
    _call(LIBC.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call(LIBC.prctl, PR_SET_SECCOMP, FILTER, ctypes.byref(pointer), 0, 0)


HOW: dict[str, Callable[[], None]] = {"prctl": by_kernel, "seccomp": by_filter}


def probes() -> dict[str, bool]:
    """What this process may do: map memory to write and run, run what it wrote."""
    try:
        prot = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        mmap.mmap(-1, mmap.PAGESIZE, prot=prot).close()
        mapped = True
    except PermissionError:
        mapped = False
    page = mmap.mmap(-1, mmap.PAGESIZE)
    pointer = ctypes.c_char.from_buffer(page)
    LIBC.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    wanted = mmap.PROT_READ | mmap.PROT_EXEC
    failed = LIBC.mprotect(ctypes.addressof(pointer), mmap.PAGESIZE, wanted)
    del pointer
    page.close()
    return {"map": mapped, "gain": not failed}


def _call(function: Callable[..., int], *arguments: object) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {arguments[0]}: {os.strerror(number)}")


def main() -> int:
    """Forbid, try, and become the agent."""
    how, file, *words = sys.argv[1:]
    HOW[how]()
    found = {"before": probes()}
    from asd_agent.cli import main as agent  # loaded where it is forbidden already

    code = agent(words)
    found["after"] = probes()
    Path(file).write_text(json.dumps(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
