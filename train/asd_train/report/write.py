"""Puts a page where it is wanted."""

from pathlib import Path

from asd_agent.errors import ConfigError


def write(path: Path, text: str) -> int:
    """Write a page, whole or not at all, and say where it is; returns 0.

    Raises
    ------
    ConfigError
        It cannot be written there.
    """
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}): give another file with -o"
        ) from error
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    return 0
