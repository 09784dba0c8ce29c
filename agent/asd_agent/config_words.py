"""What is wrong with the configuration, in sentences: found, expected, how to mend it.

Nothing that may be a secret is shown: no password, no key, no list and no keys with
whatever is below them, nothing that holds ``@`` as an address with a password does.
"""

import difflib
import typing
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Any

from pydantic import BaseModel

from asd_agent.config import Config
from asd_agent.config_model import WORDS

KeyPath = tuple[str | int, ...]

MOST_SHOWN = 60
"""Characters of a value"""
SECRET = frozenset({"password_file", "key"})
"""Keys of a file in whose place people write what should be in it"""
MANY_DIGITS = 10**MOST_SHOWN
_KINDS = ((dict, "keys below it"), (list | tuple, "a list"), (NoneType, "nothing"))
_HINTS = ("password", "passwd", "secret", "token", "PRIVATE", "@")
_EXPECTED = {
    "missing": "is missing; add it",
    "string_type": "expected text: put it in quotes",
    "path_type": "expected the path of a file or folder",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "expected a smaller number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "tuple_type": "expected a list, each entry on a line that begins with -",
    "invalid_key": "expected a word as a key: put it in quotes",
    "model_type": "expected keys below it, or {{}} for their defaults",
    "greater_than": "expected more than {gt:,.15g}",
    "greater_than_equal": "expected at least {ge:,.15g}",
    "less_than": "expected less than {lt:,.15g}",
    "less_than_equal": "expected at most {le:,.15g}",
    "literal_error": "expected {expected}",
    "string_too_long": "expected at most {max_length} characters",
    "too_short": "expected at least {min_length}: add one",
    "too_long": "expected at most {max_length}: remove some",
}
"""What pydantic's errors mean to who wrote the file"""
_ALONE = frozenset({"missing", "too_short", "too_long"})
"""Of these nothing was found, or too much to show"""


def sentence(key: KeyPath, error: Mapping[str, Any]) -> str:
    """What is wrong with a key, from one of pydantic's errors."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"no such key; {_nearest(key)}"
    if kind == "value_error":
        text = str(context["error"])
    elif kind == "string_pattern_mismatch":
        text = f"expected {WORDS[context['pattern']]}"
    else:
        text = _EXPECTED.get(kind, error["msg"]).format(**context)
    # A rule of several keys says itself what it found.
    if kind in _ALONE or (kind == "value_error" and not text.startswith("expected")):
        return text
    return f"{text}; found {shown(key, value)}"


def shown(key: KeyPath, value: object) -> str:
    """A value as it stands in the file, unless it may be a secret."""
    for kind, word in _KINDS:
        if isinstance(value, kind):
            return word
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int) and abs(value) > MANY_DIGITS:
        text = "a number of many digits"  # Python refuses to write the longest
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    if SECRET.intersection(key) or any(hint in f"{key}{text}" for hint in _HINTS):
        return "a value that is not shown"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def _nearest(key: KeyPath) -> str:
    names = list(_names(Config, key[:-1]))
    last = str(key[-1]) if key else ""
    near = difflib.get_close_matches(last, names, 1, 0.5)
    if near and near[0] != last:
        return f"did you mean {near[0]}?"
    places = [place for place, name in _everywhere(Config) if name == last]
    if places:
        return f"it belongs below {places[0]}: check how far the line is indented"
    return f"known: {', '.join(names)}"


def _names(model: type[BaseModel], key: KeyPath) -> Iterator[str]:
    """Names that may stand below `key`."""
    for part in key:
        if isinstance(part, str):
            found = [f for n, f in model.model_fields.items() if part in (n, f.alias)]
            inner = next(models(found[0].annotation), None) if found else None
            model = inner or model  # else the name of one type of a union
    for name, field in model.model_fields.items():
        yield field.alias or name


def _everywhere(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """Every key below another one: where, and its name."""
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        for inner in models(field.annotation):
            yield from ((key, below) for below in _names(inner, ()))
            yield from _everywhere(inner, f"{key}.")


def models(annotation: object) -> Iterator[type[BaseModel]]:
    """Models within a type such as ``tuple[SourceConfig, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (tuple, typing.Union, UnionType):
        for inner in typing.get_args(annotation):
            yield from models(inner)
