"""The coverage of the newest days, for a terminal or a program."""

from collections.abc import Iterator, Sequence

from asd_agent.ledger import DayCoverage, Ledger

HEAD = ("DAY", "SOURCE", "HEARD", "SCORED", "LEARNT", "SUSPECT", "SILENT", "GAP", "WHY")
DAY_S = 86_400.0


def days_of(ledger: Ledger, source: str | None, days: int) -> list[DayCoverage]:
    """Coverage of one source or all, oldest first."""
    names = [source] if source is not None else ledger.sources()
    found = [day for name in names for day in ledger.newest(name, days)]
    return sorted(found, key=lambda day: (day.day, day.source))


def table(days: Sequence[DayCoverage]) -> str:
    """Lay out some days: `HEARD` of the day, and the shares of that."""
    if not days:
        return "nothing was heard yet: the ledger is written every 5 min while it runs"
    rows = [HEAD, *(_row(day) for day in days)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


def records(days: Sequence[DayCoverage]) -> Iterator[dict[str, object]]:
    """The same as data: seconds."""
    for day in days:
        yield {"source": day.source, **day.record()}


def _row(day: DayCoverage) -> tuple[str, ...]:
    parts = (day.scored_s, day.learnt_s, day.suspect_s, day.silent_s, day.gap_s)
    shares = [_percent(part, day.heard_s) for part in parts]
    worst = sorted(day.reasons.items(), key=lambda item: -item[1])[:3]
    why = ", ".join(f"{reason} {_span(seconds)}" for reason, seconds in worst)
    heard = f"{_span(day.heard_s)} ({_percent(day.heard_s, DAY_S)})"
    return (day.day.isoformat(), day.source, heard, *shares, why)


def _percent(part: float, whole: float) -> str:
    """Rounded, but neither to nothing nor to all where that is not so."""
    if not whole or not part:
        return "-"
    share = 100 * part / whole
    if share < 0.1:
        return "<0.1 %"
    return f"{min(share, 99.9) if part < whole else share:.1f} %"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
