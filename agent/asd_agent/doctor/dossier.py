"""What goes into the file for support: a fixed list, each text without secrets.

No file of the user is copied but the state of bundles and of coverage, which the
agent has written itself. docs/doctor.md says what is in it, in the same order.
"""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import yaml

from asd_agent.bundle.disk import read_plain
from asd_agent.bundle.manifest import MAX_MANIFEST_BYTES, parse
from asd_agent.bundle.state import MAX_STATE_BYTES
from asd_agent.bundle.trust import MANIFEST_FILE, STATE_FILE
from asd_agent.config import Config
from asd_agent.doctor import kernel
from asd_agent.doctor.report import Report
from asd_agent.doctor.scrubber import HIDDEN, Scrubber
from asd_agent.errors import BundleError
from asd_agent.ledger import FOLDER as COVERAGE
from asd_agent.ledger import MAX_BYTES as MAX_COVERAGE_BYTES

COVERAGE_DAYS = 31
"""Newest days of coverage that are taken"""
MAX_LISTED = 2_000
"""Files of the state folder that are listed"""
UNIT = "asd-agent"
"""Name of the service"""
JOURNAL = ("journalctl", "-u", UNIT, "-n", "500", "--no-pager", "-o", "short-iso")
JOURNAL_S = 20.0
"""Seconds that the journal may take"""
_KEY = re.compile(r"^(\s*(?:- +)*)([\w.-]+)(\s*:)")

Say = Callable[[tuple[str, ...]], str]
"""Runs a program and gives what it printed"""


def dossier(
    report: Report,
    config: Config | None,
    scrub: Scrubber,
    *,
    root: Path = kernel.ROOT,
    say: Say | None = None,
) -> dict[str, str]:
    """Gather the texts, by their names in the file.

    Parameters
    ----------
    config
        None: it cannot be loaded; its keys are shown, and no value.
    root
        Where ``proc`` and ``sys`` lie.
    say
        Runs a program; None: really.
    """
    texts = {
        "report.txt": report.text(),
        "report.json": json.dumps(report.json(), indent=2, allow_nan=False) + "\n",
        "configuration.yaml": configuration(Path(report.config), config, scrub),
        "packages.txt": _packages(),
        "machine.txt": "".join(_machine(root)),
        "sound_cards.txt": "".join(_sound_cards(root)),
    }
    if config is not None:
        texts |= _state(config)
    texts["journal.txt"] = (say or run)(JOURNAL)
    return {name: scrub.foreign(text) for name, text in texts.items()}


def configuration(path: Path, config: Config | None, scrub: Scrubber) -> str:
    """The configuration as it was understood, or its keys alone."""
    if config is not None:
        values = _scrubbed(config.model_dump(mode="json", by_alias=True), scrub)
        return yaml.safe_dump(values, sort_keys=False, width=10_000)
    lines = ["# It cannot be loaded: only its keys are shown.\n"]
    for line in kernel.lines(path):
        found = _KEY.match(line)
        if found:
            lines.append(f"{found[1]}{found[2]}{found[3]} {HIDDEN}\n")
    return "".join(lines)


def _scrubbed(value: object, scrub: Scrubber) -> object:
    """Scrub every text on its own: what writes YAML may cut it in two."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {key: _scrubbed(inner, scrub) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(inner, scrub) for inner in value]
    return value


def _packages() -> str:
    found = {f"{d.name} {d.version}\n" for d in metadata.distributions() if d.name}
    return "".join(sorted(found, key=str.casefold))


def _machine(root: Path) -> Iterator[str]:
    yield f"system: {platform.platform()}\n"
    yield f"python: {platform.python_version()} {platform.python_implementation()}\n"
    yield f"board: {kernel.model(root) or 'not known'}\n"
    yield f"container: {kernel.container(root) or 'none'}\n"
    for name, count in (
        ("etc/os-release", 12),
        ("proc/uptime", 1),
        ("proc/loadavg", 1),
        ("proc/meminfo", 6),
        ("proc/self/mountinfo", 60),
    ):
        yield f"\n/{name}\n"
        yield from (f"  {line}\n" for line in kernel.lines(root / name)[:count])


def _sound_cards(root: Path) -> Iterator[str]:
    for name in ("cards", "devices", "pcm", "modules"):
        yield f"/proc/asound/{name}\n"
        yield from (f"  {x}\n" for x in kernel.lines(root / "proc/asound" / name)[:99])


def _state(config: Config) -> dict[str, str]:
    folder = config.state_dir
    state = folder / "bundles" / STATE_FILE
    texts = {
        "state/files.txt": "".join(_files(folder)),
        "state/bundles.txt": "".join(_manifests(folder / "bundles")),
        "state/bundles.json": _read(state, MAX_STATE_BYTES),
    }
    days = sorted((folder / COVERAGE).glob("????-??-??.json"))[-COVERAGE_DAYS:]
    for day in days:
        texts[f"state/coverage/{day.name}"] = _read(day, MAX_COVERAGE_BYTES)
    return texts


def _files(folder: Path) -> Iterator[str]:
    """Size, time and name of every file below a folder."""
    listed = 0
    for place, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(place) / name
            try:
                info = path.lstat()
            except OSError:
                continue
            listed += 1
            if listed > MAX_LISTED:
                yield f"[more than {MAX_LISTED:,} files]\n"
                return
            when = datetime.fromtimestamp(info.st_mtime, timezone.utc)
            shown = path.relative_to(folder)
            yield f"{info.st_size:>12} {when:%Y-%m-%dT%H:%M:%SZ} {shown}\n"


def _manifests(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob(f"*/{MANIFEST_FILE}")):
        try:
            manifest = parse(read_plain(path, MAX_MANIFEST_BYTES))
        except (OSError, BundleError) as error:
            yield f"{path.parent.name}: {error}\n"
            continue
        yield f"{path.parent.name}: {manifest.id} version {manifest.version}\n"


def _read(path: Path, most: int) -> str:
    try:
        return read_plain(path, most).decode("utf-8", "replace")
    except OSError as error:
        return f"cannot be read: {error.strerror or error}\n"


def run(command: tuple[str, ...]) -> str:
    """What a program prints; where it cannot be run, why."""
    program = shutil.which(command[0])
    if program is None:
        return f"{command[0]} is not installed\n"
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            (program, *command[1:]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=JOURNAL_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {type(error).__name__}\n"
    return (done.stdout + done.stderr).decode("utf-8", "replace")
