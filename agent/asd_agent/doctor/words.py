"""Numbers as people read them."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_text(count: float) -> str:
    """Bytes with a unit of 1000, such as ``1.2 GB``."""
    step = 0
    while count >= 999.5 and step < len(_UNITS) - 1:
        count /= 1000
        step += 1
    return f"{count:.3g} {_UNITS[step]}"


def ms_text(seconds: float) -> str:
    """Seconds as milliseconds, such as ``0.4 ms`` and ``120 ms``."""
    ms = 1000 * seconds
    return f"{ms:.1f} ms" if ms < 10 else f"{ms:,.0f} ms"


def number(count: int, thing: str) -> str:
    """How many of a thing, such as ``1 source`` and ``2 sources``."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
