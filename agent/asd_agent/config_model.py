"""What holds for every value of the configuration, whatever its key."""

import ipaddress
import math
import re
from types import NoneType
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    ValidationInfo,
    field_validator,
)

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""A device or a source: one level of an MQTT topic, and a folder name"""
CLASS_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
"""A kind of device"""
ROOT_PATTERN = r"^[^$+#/\s][^+#/\s]*(/[^+#/\s]+)*$"
"""First level, or levels, of every topic"""
WORDS = {
    NAME_PATTERN: "lower-case letters, digits, - and _, at most 63, the first a letter "
    "or a digit",
    CLASS_PATTERN: "lower-case letters, digits, - and _, at most 32, the first a "
    "letter or a digit",
    ROOT_PATTERN: "levels with / between them, such as plant/hall-2, without +, #, $ "
    "at the start, spaces or empty levels",
}
"""What each pattern wants, for people"""
MOST = 10**15
"""No number is larger: beyond it a system call or a clock may have no place for it"""
_NUMBERS = (int, float, ByteSize)
_SIZE = re.compile(r"\d{1,15}(\.\d{1,6})?\s*([kmgt]i?b|[kmgt]|b)?", re.IGNORECASE)
_HOST = re.compile(r"[^\s/@\[\]\\?#]{1,253}")


class ConfigModel(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing is changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, bool) and kind in _NUMBERS:
            raise ValueError("expected a number")
        elif value is None and _is_section(kind):
            raise ValueError("nothing is below it: write its keys, or remove it")
        return value

    @field_validator("*")
    @classmethod
    def _bounded(cls, value: object) -> object:
        if isinstance(value, int | float) and abs(value) > MOST:
            raise ValueError(f"expected at most {MOST:,}")
        return value


def _check_text(text: str) -> None:
    # The system takes no path with NUL, and a log no name with a line break.
    if not text.isprintable():
        raise ValueError("holds a character that cannot be printed")
    if not text:
        raise ValueError("is empty: write a value, or remove the key")


def _is_section(annotation: Any) -> bool:
    """Whether a key holds others, and may be left out."""
    kinds = getattr(annotation, "__args__", ())
    models = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
    return bool(models) and NoneType in kinds


def _size(value: object) -> object:
    whole = isinstance(value, int | float) and math.isfinite(value) and value >= 0
    if whole or (isinstance(value, str) and _SIZE.fullmatch(value.strip())):
        return value
    raise ValueError(
        "expected bytes, or a number with kB, MB, GB, KiB, MiB or GiB, such as 64MiB"
    )


def _host(text: str) -> str:
    if _HOST.fullmatch(text) and (":" not in text or _is_address(text)):
        return text
    raise ValueError(
        "expected a name or an address alone, such as broker.factory.local; the port "
        "and the user have keys of their own"
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


Bytes = Annotated[ByteSize, BeforeValidator(_size)]
"""Bytes, also written as such as ``64MiB``"""
Host = Annotated[str, AfterValidator(_host)]
"""A name or an address, with nothing around it"""
