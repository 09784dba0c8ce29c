"""Takes secrets out of a text, by what they are and by how they look.

What is known to be a secret goes wherever it stands: the contents of the files that
the configuration names for passwords and keys, user and password in a URL, and the
values of variables of the environment that are called so. What only looks like one
goes by patterns. The files themselves are never copied anywhere.
"""

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

from asd_agent.config import Config

HIDDEN = "***"
"""Stands in the place of a secret"""
SHORTEST = 4
"""Characters; a shorter secret goes only where it stands alone, or it would take
parts of every other word with it"""
MAX_BYTES = 65_536
"""So much of a file of secrets is read"""

_URL_USER = re.compile(r"(\b[a-z][a-z0-9+.-]*:/{1,3})[^\s'\"]*@", re.I)
_URL_VALUE = re.compile(
    r"([?&][\w.-]*(?:token|key|pass|secret|sig|auth|credential)[\w.-]*=)[^&\s'\"]+",
    re.I,
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.S
)
_NAMED = re.compile(
    r"(?i)(\b[\w.-]*(?:password|passwd|passphrase|secret|token|api[_-]?key"
    r"|authorization|credentials?|private[_-]?key)[\"']?\s*[:=]\s*)"
    r"(?:(?:basic|bearer)\s+)?(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}\]]+)"
)
_SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:pass(?:word|wd|phrase)?|secret|token|key|credentials?)(?:$|_)"
)


class Scrubber:
    """Knows secrets and how they look.

    Parameters
    ----------
    environment
        Variables, of which some are secrets by their name.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.learn(v for name, v in variables.items() if _SECRET_NAME.search(name))

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these texts from now on, also as JSON and in URLs."""
        for secret in secrets:
            bare = secret.strip()
            forms = {bare, json.dumps(bare)[1:-1], quote(bare, ""), unquote(bare)}
            self._known |= {form for form in forms if form}
        # The longest first: one secret may begin another.
        ways = [_way(known) for known in sorted(self._known, key=len, reverse=True)]
        self._pattern = re.compile("|".join(ways)) if ways else None

    def learn_from(self, config: Config) -> None:
        """Hide what the files of a configuration hold, and users in its URLs."""
        mqtt = config.mqtt
        if mqtt and mqtt.password_file:
            self.learn(_lines(mqtt.password_file))
        if mqtt and mqtt.tls and mqtt.tls.key:
            lines = (line for line in _lines(mqtt.tls.key) if "-----" not in line)
            self.learn(lines)
        for value in _texts(config.model_dump(mode="json")):
            self.learn(_url_user(value))

    def __call__(self, text: str) -> str:
        """Hide what is known to be a secret, keys, and users in URLs."""
        if self._pattern is not None:
            text = self._pattern.sub(HIDDEN, text)
        text = _PRIVATE_KEY.sub(f"{HIDDEN} (private key)", text)
        text = _URL_USER.sub(rf"\1{HIDDEN}@", text)
        return _URL_VALUE.sub(rf"\1{HIDDEN}", text)

    def foreign(self, text: str) -> str:
        """As calling it, and what others call a password, such as ``token=...``."""
        return _NAMED.sub(rf"\1{HIDDEN}", self(text))


class ScrubbedLog(logging.Filter):
    """Hides secrets in what is logged."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__()
        self._scrub = scrub

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, scrubbed."""
        record.msg, record.args = self._scrub.foreign(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            trace = logging.Formatter().formatException(record.exc_info)
            record.exc_text = self._scrub.foreign(trace)
        return True


def _way(secret: str) -> str:
    text = re.escape(secret)
    return text if len(secret) >= SHORTEST else rf"(?<!\w){text}(?!\w)"


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []  # what cannot be read cannot be shown either


def _texts(value: object) -> Iterator[str]:
    """Every text within a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _url_user(value: str) -> Iterator[str]:
    """User and password of a URL, together and the password alone."""
    found = re.search(r"\b[a-z][a-z0-9+.-]*:/{1,3}(.+)@", value, re.I)
    if found:
        yield found[1]
        yield found[1].partition(":")[2]
