"""Examines the configuration and the secrets that it names."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from asd_agent.config import Config
from asd_agent.config_file import load
from asd_agent.doctor.finding import Finding, fail, ok, refused, warn
from asd_agent.doctor.words import number
from asd_agent.errors import ConfigError


def read(path: Path) -> tuple[Config | None, Finding]:
    """Load the configuration; None where it is wrong."""
    try:
        config = load(path)
    except ConfigError as error:
        fix = "mend these lines" if "\n" in str(error) else "mend this line"
        if not os.access(path, os.R_OK):
            fix = "check the path, and that this user may read the file"
        return None, refused("file", error, fix)
    broker = f"broker {config.mqtt.host}:{config.mqtt.port}" if config.mqtt else ""
    parts = (
        f"device {config.device}",
        number(len(config.sources), "source"),
        broker or "no broker",
    )
    return config, ok("file", f"{path}: {', '.join(parts)}")


def files(config: Config) -> Iterator[Finding]:
    """Whether the files that the configuration names can be read, and by whom."""
    named = [(_key(key), path) for key, path in config.files()]
    for key, path in named:
        try:
            with path.open("rb") as file:
                file.read(1)
        except OSError as error:
            yield fail(
                "files",
                f"{key} {path} cannot be read: {error.strerror}",
                f"let the user of the agent read it: sudo chgrp GROUP {path}; "
                f"sudo chmod 640 {path}",
            )
            continue
        if key in ("mqtt.password_file", "mqtt.tls.key"):
            yield from _private(key, path)
    if named:
        yield ok("files", f"{number(len(named), 'file')} named, all looked at")


def _private(key: str, path: Path) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IRWXO:
        text = f"{key} {path} can be read by everybody on this machine ({mode:04o})"
        yield warn(
            "files", text, f"sudo chmod o= {path}", figures={"mode": f"{mode:04o}"}
        )


def user() -> Iterator[Finding]:
    """Who looks: what root may do says little about the agent."""
    uid = os.geteuid()
    text = f"uid {uid}"
    if not uid:
        text = (
            "root, who may open everything: whether the agent's own user may is seen "
            "only if that user runs this"
        )
    yield ok("user", text, figures={"uid": uid})


def _key(parts: tuple[str | int, ...]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
