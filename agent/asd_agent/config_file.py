"""Read the configuration file; every mistake is told with its line and its mend."""

import difflib
import types
import typing
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from asd_agent.config import Config
from asd_agent.errors import ConfigError

MAX_BYTES = 1_048_576
"""A longer file is not a configuration"""

KeyPath = tuple[str | int, ...]


def load(path: Path) -> Config:
    """Read and check a configuration, and that the files it names are there.

    Raises
    ------
    ConfigError
        Everything that is wrong, one line each: file, line, key, rule, fix.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from error
    lines = Lines(path)
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:1: expected keys such as device: and sources:")
    lines.read(node, ())
    try:
        config = Config.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        lines.problems += [lines.explain(dict(e)) for e in error.errors()]
    else:
        lines.problems += [
            lines.at(key, f"there is no file {file}; check the path")
            for key, file in config.files()
            if not file.is_file()
        ]
    if lines.problems:
        raise ConfigError("\n".join(lines.problems))
    return config


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: has more than {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8: {error.reason}") from error


class Lines:
    """Knows the line of every key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[KeyPath, int] = {(): 1}
        self.problems: list[str] = []

    def read(self, node: yaml.Node, at: KeyPath) -> None:
        """Note the lines of a node's keys; a key given twice is a problem."""
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                path = (*at, str(key.value))
                line = key.start_mark.line + 1
                if path in self._lines:
                    self.problems.append(
                        f"{self._path}:{line}: {_dotted(path)}: given twice, first in "
                        f"line {self._lines[path]}; keep one"
                    )
                self._lines[path] = line
                self.read(value, path)
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                self._lines[(*at, i)] = value.start_mark.line + 1
                self.read(value, (*at, i))

    def at(self, key: KeyPath, text: str) -> str:
        """One line of a message: file, line, key, text."""
        known = key
        while known not in self._lines:
            known = known[:-1]
        return f"{self._path}:{self._lines[known]}: {_dotted(key)}: {text}"

    def explain(self, error: Mapping[str, Any]) -> str:
        """Put an error of pydantic into a sentence for this file."""
        loc = tuple(part for part in error["loc"] if not _is_branch(part))
        kind, value = error["type"], error["input"]
        if kind == "extra_forbidden":
            names = list(_names(Config, loc[:-1]))
            near = difflib.get_close_matches(str(loc[-1]), names, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            return self.at(loc, f"no such key; {hint}")
        if kind == "missing":
            return self.at(loc, "is missing; add it")
        text = error["msg"].removeprefix("Value error, ")
        if kind != "value_error":
            text = f"{text[0].lower()}{text[1:]}, found {_shown(loc, value)}"
        return self.at(loc, text)


def _is_branch(part: object) -> bool:
    """Whether a part of a location is pydantic's name for one type of a union."""
    return isinstance(part, str) and (part.endswith("Config") or "[" in part)


def _dotted(key: KeyPath) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".") or "the file"


def _shown(key: Hashable, value: object) -> str:
    if "password" in str(key):
        return "a value that is not shown"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _names(model: type[BaseModel], key: KeyPath) -> Iterator[str]:
    """Names that may stand below `key`."""
    for part in key:
        if isinstance(part, str):
            found = [f for n, f in model.model_fields.items() if part in (n, f.alias)]
            model = next(_models(found[0].annotation))
    for name, field in model.model_fields.items():
        yield field.alias or name


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Models within a type such as ``tuple[SourceConfig, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (tuple, typing.Union, types.UnionType):
        for inner in typing.get_args(annotation):
            yield from _models(inner)
