"""Fills the templates: everything in them is escaped but the figures."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from asd_train.report.summary import Interval

_NOTHING = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def percent(value: float | None, digits: int = 1) -> str:
    """Write a share: ``0.8742`` as ``87.4``."""
    return _NOTHING if value is None else f"{value * 100:.{digits}f}"


def signed(value: float | None, digits: int = 1) -> str:
    """Write a difference of shares: ``-0.02`` as ``-2.0``, with a true minus sign."""
    text = _NOTHING if value is None else f"{value * 100:+.{digits}f}"
    return text.replace("-", _MINUS)


def interval(value: Interval | None, digits: int = 1) -> str:
    """Write both ends of an interval of shares: ``82.1`` to ``93.0``, with a dash."""
    if value is None:
        return ""
    return "\N{EN DASH}".join(f"{end * 100:.{digits}f}" for end in value)


def signed_interval(value: Interval, digits: int = 1) -> str:
    """Write both ends of an interval of differences: ``-1.2 to +0.4``."""
    return " to ".join(signed(end, digits) for end in value)


def number(value: float | None) -> str:
    """Write a score."""
    return _NOTHING if value is None else f"{value:.4g}".replace("-", _MINUS)


def shade(value: float | None) -> str:
    """Attributes of a table cell: coloured by how far the value is from chance."""
    if value is None:
        return Markup('class="n"')
    kind = "hi" if value >= 0.5 else "lo"
    strength = round(min(1.0, abs(value - 0.5) * 2) ** 1.5 * 100)
    return Markup('class="n {}" style="--v:{}%"').format(kind, strength)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("asd_train.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (percent, signed, interval, signed_interval, number, shade):
        environment.filters[function.__name__] = function
    # Written by `figures.canvas`, which escapes what it is given.
    environment.filters["drawn"] = Markup
    return environment


def fill(name: str, **values: object) -> str:
    """Fill the template `name`."""
    return _environment().get_template(name).render(values)
