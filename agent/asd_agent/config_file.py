"""Read the configuration file; every mistake is told with its line and its mend."""

import os
import re
import stat
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from asd_agent.config import Config
from asd_agent.config_words import SECRET, KeyPath, sentence
from asd_agent.errors import ConfigError

MAX_BYTES = 262_144
"""A longer file is not a configuration"""
MAX_PROBLEMS = 20
"""So many mistakes are told at once"""


def load(path: Path) -> Config:
    """Read and check a configuration, and that the files it names are there.

    Raises
    ------
    ConfigError
        What is wrong, one line each: file, line, key, rule, what was found.
    """
    text = _text(path)
    lines = Lines(path)
    values = _parse(text, lines, path)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        found = [dict(e) for e in error.errors(include_url=False)]
        for one in [e for e in found if not _is_echo(e)]:
            if len(lines.problems) <= MAX_PROBLEMS:
                lines.explain(one)
    else:
        for key, file in config.files():
            if not _is_file(file):
                lines.note(key, _not_there(key, file))
    if lines.problems:
        raise ConfigError("\n".join(lines.told()))
    return config


def _text(path: Path) -> str:
    try:
        raw = _read_plain(path)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}. Give the path of a file that "
            "this user may read"
        ) from error
    except ValueError as error:  # a path with NUL
        raise ConfigError(f"{path!r}: is no path: {error}") from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            f"{path}: has more than {MAX_BYTES} bytes; a configuration has a few "
            "hundred: check the path"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}:{line}: not text in UTF-8: {error.reason}; save it as UTF-8"
        ) from error


def _read_plain(path: Path) -> bytes:
    # A pipe could be waited for for ever, and a device could be read for ever.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "is a pipe, a socket or a device")
        return file.read(MAX_BYTES + 1)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # not even allowed to look, or no possible name
        return False


def _not_there(key: KeyPath, file: Path) -> str:
    if SECRET.intersection(key):
        # What stands there may be the secret itself.
        return (
            "there is no such file; write the path of a file that holds it, "
            "never the secret"
        )
    return f"there is no file {file}; check the path"


class _Loader(yaml.SafeLoader):
    """YAML in which each value stands where it belongs, as itself.

    An alias can stand for itself or grow without bound, and a tag can ask for
    a value that the text is not; a configuration needs neither.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs
        tagged = getattr(event, "tag", None) is not None
        if tagged or isinstance(event, yaml.AliasEvent):
            problem = f"{'a tag (!)' if tagged else 'an alias (*)'} is not taken here"
            raise yaml.MarkedYAMLError(
                problem=f"{problem}: write the value itself, in quotes if it begins so",
                problem_mark=event.start_mark,  # type: ignore[arg-type]  # PyYAML's stubs
            )
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            if isinstance(node, yaml.ScalarNode) and node.tag.endswith(
                (":int", ":float")
            ):
                _check_number(node.value)
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:  # such as the date 2026-13-32
            raise yaml.MarkedYAMLError(
                problem="no number or date that can be: put it in quotes",
                problem_mark=node.start_mark,
            ) from error


def _check_number(text: str) -> None:
    # To YAML 18:83 is 1163, and 0123 is 83.
    if ":" in text or re.fullmatch(r"[-+]?0[0-7_]+", text):
        raise ValueError(f"{text} is another number than it seems")


def _parse(text: str, lines: "Lines", path: Path) -> Mapping[Hashable, Any]:
    """Values of a file; notes the line of each."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}:1: expected keys such as device: and sources:")
        lines.read(node, ())
        values: Mapping[Hashable, Any] = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = ", ".join(filter(None, (error.context, error.problem)))
        if r"'\t'" in problem:
            problem += "; indent with spaces"
        raise ConfigError(f"{path}:{line}: not YAML: {problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{path}:{line}: not YAML: character {error.character:#04x} cannot be "
            "printed; remove it"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not YAML: nested too deeply") from error
    return values


class Lines:
    """Knows the line of every key, and collects what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[KeyPath, int] = {(): 1}
        self.problems: list[tuple[int, str]] = []
        """Line and text of each"""

    def read(self, node: yaml.Node, at: KeyPath) -> None:
        """Note the lines of a node's keys; a key given twice is a problem."""
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                path = (*at, str(key.value))
                line = key.start_mark.line + 1
                first = self._lines.get(path)
                self._lines[path] = line
                if first is not None:
                    self.note(path, f"given twice, first in line {first}; keep one")
                self.read(value, path)
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self._lines[(*at, i)] = value.start_mark.line + 1
                self.read(value, (*at, i))

    def note(self, key: KeyPath, text: str) -> None:
        """Keep a problem of a key."""
        known = key
        while known not in self._lines:
            known = known[:-1]
        self.problems.append((self._lines[known], f"{_dotted(key)}: {text}"))

    def explain(self, error: Mapping[str, Any]) -> None:
        """Put an error of pydantic into a sentence for this file."""
        key = self._key(error["loc"])
        self.note(key, sentence(key, error))

    def told(self) -> list[str]:
        """The problems, one line each, as an editor finds them."""
        lines = [f"{self._path}:{line}: {text}" for line, text in self.problems]
        more = "and more: mend these first"
        return lines[:MAX_PROBLEMS] + [
            f"{self._path}: {more}" for _ in lines[MAX_PROBLEMS:][:1]
        ]

    def _key(self, location: Iterable[str | int]) -> KeyPath:
        """Where in the file; pydantic names the type of a union in between."""
        key: KeyPath = ()
        for part in location:
            if (*key, part) not in self._lines and (*key, str(part)) in self._lines:
                key = (*key, str(part))  # a number as a key
            elif (*key, part) in self._lines or not _is_branch(part):
                key = (*key, part)
        return key


def _is_echo(error: Mapping[str, Any]) -> bool:
    """Whether another error of the same place says it better.

    What is not the `false` of a union is told about its other type; and a list
    is called too short when its items are wrong.
    """
    if error["type"] == "too_short":
        return bool(error["input"])
    return any("literal[" in str(part) for part in error["loc"])


def _is_branch(part: object) -> bool:
    """Whether a part of a location is pydantic's name for one type of a union."""
    return isinstance(part, str) and (part.endswith("Config") or "[" in part)


def _dotted(key: KeyPath) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the file"
