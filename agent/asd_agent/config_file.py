"""Read the configuration file; every mistake is told with its line and its mend."""

import difflib
import types
import typing
from collections.abc import Hashable, Iterable, Iterator, Mapping
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
    lines = Lines(path)
    values = _parse(text, lines, path)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        lines.problems += [
            lines.explain(dict(e)) for e in error.errors() if not _is_echo(dict(e))
        ]
    else:
        lines.problems += [
            lines.at(key, f"there is no file {file}; check the path")
            for key, file in config.files()
            if not _is_file(file)
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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # not even allowed to look, or no possible name
        return False


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
                problem=problem,
                problem_mark=event.start_mark,  # type: ignore[arg-type]  # PyYAML's stubs
            )
        return super().compose_node(parent, index)


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
        raise ConfigError(f"{path}:{line}: not YAML: {problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # such as the date 2026-13-32
        problem = " ".join(str(error).split())
        raise ConfigError(f"{path}: not YAML: {problem}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not YAML: nested too deeply") from error
    return values


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
        loc = self._key(error["loc"])
        kind, value = error["type"], error["input"]
        if kind == "extra_forbidden":
            names = list(_names(Config, loc[:-1]))
            near = difflib.get_close_matches(str(loc[-1]), names, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            return self.at(loc, f"no such key; {hint}")
        if kind == "missing":
            return self.at(loc, "is missing; add it")
        if kind == "model_type":
            return self.at(loc, f"expected keys below it, found {_shown(loc, value)}")
        text = error["msg"].removeprefix("Value error, ")
        if kind != "value_error":
            text = f"{text[0].lower()}{text[1:]}, found {_shown(loc, value)}"
        return self.at(loc, text)

    def _key(self, location: Iterable[str | int]) -> KeyPath:
        """Where in the file; pydantic names the type of a union in between."""
        key: KeyPath = ()
        for part in location:
            if (*key, part) in self._lines or not _is_branch(part):
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


def _shown(key: Hashable, value: object) -> str:
    text = repr(value)
    if "password" in f"{key}{text}":
        return "a value that is not shown"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _names(model: type[BaseModel], key: KeyPath) -> Iterator[str]:
    """Names that may stand below `key`."""
    for part in key:
        if isinstance(part, str):
            found = [f for n, f in model.model_fields.items() if part in (n, f.alias)]
            if found:  # else the name of one type of a union
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
