"""Lengths of time as people write and read them: ``30s``, ``15m``, ``24h``, ``7d``."""

import re

UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
"""Seconds in each unit"""
MAX_S = 366 * UNITS_S["d"]
"""Nobody waits longer"""


def parse(text: str) -> float:
    """Read a length of time, in seconds.

    Raises
    ------
    ValueError
        It is not a number with a unit, or more than a year.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd])", text.strip(), re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is no length of time such as 30s, 15m, 24h or 7d")
    length_s = float(found[1]) * UNITS_S[found[2]]
    if length_s > MAX_S:
        raise ValueError(f"{text!r} is more than a year")
    return length_s


def shown(length_s: float) -> str:
    """Write a length of time by its two greatest units: ``23 h 5 min``."""
    seconds = max(0, round(length_s))
    parts: list[str] = []
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        if count or (parts and len(parts) < 2):
            parts.append(f"{count} {name}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 ")) or "0 s"
