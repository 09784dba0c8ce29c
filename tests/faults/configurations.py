"""Bad configurations, and what ``asd-agent check`` says of each.

``PYTHONPATH=tests python -m faults.configurations`` prints a table: row, exit code and
message. Each must end with its exit code, without a traceback, with the line, the key
and the words that are asked for, without a secret, and leave no file behind.
"""

import contextlib
import io
import logging
import os
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asd_agent import cli
from asd_agent.config_file import MAX_BYTES
from faults.configuration_rows import ROWS, SECRET
from support.sounds import noise, wav

NOBODY = 65_534
"""A user who may read nothing of ours"""
LINE = 5
"""Of every file where a row stands"""
LEAST = {
    "device": "device: press-07\n",
    "state_dir": "state_dir: {folder}/state\n",
    "sources": "sources:\n  - {{name: gearbox, recording: '{folder}/hum.wav'}}\n",
}
"""What stands before a row that does not say it itself"""


@dataclass(frozen=True, slots=True)
class Case:
    """One bad configuration."""

    name: str
    make: Callable[[Path], str | Path]
    """Writes it into a folder; what is said after ``--config``"""
    says: tuple[str, ...]
    """Words of the message; ``FILE`` stands for the file"""
    exit: int = 2
    unprivileged: bool = False
    """Whether it is read by a user who may not read it"""


@dataclass(frozen=True, slots=True)
class Answer:
    """How the command ended."""

    exit: int
    text: str
    left: tuple[str, ...]
    """What lies in the state folder"""

    def wrong(self, case: Case, file: str | Path) -> str:
        """What is wrong with the answer; empty: nothing."""
        if self.exit != case.exit:
            return f"exit {self.exit}, expected {case.exit}"
        for word in case.says:
            if word.replace("FILE", str(file)) not in self.text:
                return f"does not say {word}"
        for bad in ("Traceback", SECRET):
            if bad in self.text:
                return f"says {bad}"
        return f"leaves {self.left}" if self.left else ""


def cases() -> Iterator[Case]:
    """Every bad configuration."""
    for text, key, words, code in ROWS:
        place = f"FILE:{LINE}: {key}: " if key else ""
        says = tuple(filter(None, (place, *words.split(" ... "))))
        yield Case(text, _writer(text), says, code)
    for name, (content, words) in CONTENTS.items():
        yield Case(name, _whole(content), tuple(words.split(" ... ")))
    yield Case("no such file", lambda folder: folder / "no.yaml", ("cannot be read",))
    yield Case("a folder", lambda folder: folder, ("Is a directory",))
    yield Case("a name too long", lambda folder: folder / ("x" * 300), ("too long",))
    yield Case("an endless device", lambda _: "/dev/zero", ("a pipe, a socket or",))
    yield Case("an empty device", lambda _: "/dev/null", ("a pipe, a socket or",))
    yield Case("a pipe", _pipe, ("FILE: cannot be read: is a pipe",))
    yield Case("a socket", _socket, ("FILE: cannot be read",))
    yield Case("a link to itself", _loop, ("symbolic links",))
    yield Case(
        "a file of somebody else",
        _whole(b""),
        ("FILE: cannot be read: Permission denied", "that this user may read"),
        unprivileged=True,
    )


CONTENTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "FILE:1: expected keys such as device:"),
    "a comment": (b"# later\n", "FILE:1: expected keys"),
    "a list": (b"- a\n", "FILE:1: expected keys"),
    "words": (b"hello\n", "FILE:1: expected keys"),
    "binary": (b"\x7fELF\x02\x01\x01\x00\xb8\x9d", "FILE:1: not text in UTF-8"),
    "NUL": (b"device: a\n\x00", "FILE:2: not YAML: character 0x00"),
    "UTF-16": ("\nd: é".encode("utf-16"), "FILE:1: not text in UTF-8"),
    "Latin 1": ("a: b\ndevice: é".encode("latin-1"), "FILE:2: not text in UTF-8"),
    "2 MB": (b"#" * 2_000_000, f"FILE: has more than {MAX_BYTES} bytes"),
    "tab": (b"device: a\n\tb: c\n", "FILE:2: not YAML: ... indent with spaces"),
    "deep": (b"[" * 9_000, "FILE: not YAML: nested too deeply"),
    "deep keys": (b"{a: " * 9_000, "FILE: not YAML: nested too deeply"),
    "alias": (b"device: &a x\nstate_dir: *a", "FILE:2: not YAML: an alias (*)"),
    "billion laughs": (b"a: &a [x]\nb: [*a, *a]", "FILE:2: not YAML: an alias (*)"),
    "tag": (b"device: !!python/name:os.system x", "FILE:1: not YAML: a tag (!)"),
    "two documents": (b"a: 1\n---\nb: 2", "FILE:2: not YAML: expected a single"),
    "an open bracket": (b"device: [a\n", "FILE:2: not YAML: while parsing a flow"),
    "an open quote": (b'device: "a\n', "FILE:2: not YAML: while scanning a quoted"),
    "no blank": (b"device:a\nsources:b\n", "FILE:1: expected keys"),
    "JSON that is cut": (b'{"device": "a", ', "FILE:1: not YAML: "),
    "30,000 mistakes": (b"a: 1\n" * 30_000, "FILE: and more: mend these first"),
    "another program's": (b"[Unit]\nAfter=a\n", "FILE:2: not YAML: "),
}
"""Whole files, and what is said of each"""


def answer(case: Case, folder: Path) -> tuple[Answer, str | Path]:
    """Run the command in this process."""
    file = case.make(folder)
    with (
        contextlib.redirect_stderr(io.StringIO()) as errors,
        contextlib.redirect_stdout(io.StringIO()) as output,
        _as_nobody(case.unprivileged, folder),
    ):
        try:
            code = cli.main(["check", "--config", str(file)])
        except Exception:  # that is what is looked for
            traceback.print_exc()
            code = 1
        finally:
            for handler in logging.getLogger().handlers[:]:
                logging.getLogger().removeHandler(handler)  # it writes to `errors`
    return Answer(code, output.getvalue() + errors.getvalue(), _left(folder)), file


def _left(folder: Path) -> tuple[str, ...]:
    state = folder / "state"
    return tuple(map(str, state.rglob("*"))) if state.is_dir() else ()


@contextlib.contextmanager
def _as_nobody(wanted: bool, folder: Path) -> Iterator[None]:
    if not wanted:
        yield
        return
    for path in folder.iterdir():
        path.chmod(0)
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)  # root may read everything
    try:
        yield
    finally:
        os.seteuid(0)


def _writer(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        before = "".join(
            part for key, part in LEAST.items() if not text.startswith(f"{key}:")
        ).format(folder=folder)
        blank = "\n" * (LINE - 1 - before.count("\n"))
        wav(folder / "hum.wav", noise(1600), 16_000)
        path = folder / "asd.yaml"
        path.write_text(before + blank + text.replace("\\n", "\n") + "\n")
        return path

    return write


def _whole(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "asd.yaml"
        path.write_bytes(content)
        return path

    return write


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def _socket(folder: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(folder / "socket"))
    return folder / "socket"


def _loop(folder: Path) -> Path:
    path = folder / "loop"
    path.symlink_to(path)
    return path


def main() -> int:
    """Print the table; 1 if an answer is not as it should be."""
    print("| configuration | exit | message |\n|---|---|---|")
    right = total = 0
    for case in cases():
        with tempfile.TemporaryDirectory(prefix="asd-") as name:
            found, file = answer(case, Path(name))
            wrong = found.wrong(case, file)
            message = found.text.strip().replace(name, "").splitlines() or [""]
        total += 1
        right += not wrong
        cells = [case.name[:60], str(found.exit), wrong or message[-1][:150]]
        print("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    print(f"\nas they should be: {right} of {total}")
    return 0 if right == total else 1


if __name__ == "__main__":
    sys.exit(main())
