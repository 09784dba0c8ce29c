"""What an evaluation prints."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = (
    ("source", "auc", "AUC source"),
    ("target", "auc", "AUC target"),
    ("all", "auc", "AUC"),
    ("source", "pauc", "pAUC source"),
    ("target", "pauc", "pAUC target"),
    ("all", "pauc", "pAUC"),
)
Summary = Mapping[str, Any]


def report(summary: Summary) -> str:
    """A table of machine types (means over their sections) and the official score."""
    rows = summary["sections"]
    columns = [
        (domain, measure, title)
        for domain, measure, title in _COLUMNS
        if any(row["domain"] == domain and row[measure] is not None for row in rows)
    ]
    lines = ["  ".join([f"{'':12}", *(f"{title:>11}" for *_, title in columns)])]
    for machine in dict.fromkeys(row["machine"] for row in rows):
        own = [row for row in rows if row["machine"] == machine]
        cells = [_mean(own, domain, measure) for domain, measure, _ in columns]
        lines.append("  ".join([f"{machine:12}", *(f"{c:>11}" for c in cells)]))
    cells = [_mean(rows, domain, measure) for domain, measure, _ in columns]
    lines.append("  ".join([f"{'mean':12}", *(f"{c:>11}" for c in cells)]))
    lines.append(
        f"official score ({summary['protocol']}): {_official(summary['overall'])}"
    )
    for name, overall in summary.get("reference", {}).items():
        lines.append(f"{name} alone, no network: {_official(overall)}")
    return "\n".join(lines)


def side_by_side(first: Summary, second: Summary) -> str:
    """Official scores of a float and a quantised network, and the loss."""
    a, b = first["overall"]["official"], second["overall"]["official"]
    text = f"float {_percent(a)}, quantised {_percent(b)}"
    if a is None or b is None:
        return text
    return f"{text}: {100 * (a - b):+.2f} points lost"


def over_seeds(summaries: Sequence[Summary]) -> str:
    """Mean and standard deviation of the official scores of several runs."""
    scores = [s["overall"]["official"] for s in summaries]
    known = [100 * score for score in scores if score is not None]
    if len(known) < 2:
        return "official scores of less than two runs are defined"
    spread = statistics.stdev(known)
    return (
        f"official score of {len(known)} runs: {statistics.mean(known):.2f} "
        f"± {spread:.2f} (standard deviation)"
    )


def _mean(rows: Sequence[Summary], domain: str, measure: str) -> str:
    known = [
        row[measure]
        for row in rows
        if row["domain"] == domain and row[measure] is not None
    ]
    return _percent(statistics.mean(known)) if known else "-"


def _official(overall: Summary) -> str:
    if overall["official"] is None:
        return (
            "not defined: it needs normal and anomalous test clips, in each domain "
            "that the protocol counts, of every section"
        )
    low, high = overall["official_ci"]
    text = _percent(overall["official"])
    return f"{text} (95 % interval {_percent(low)} to {_percent(high)})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
