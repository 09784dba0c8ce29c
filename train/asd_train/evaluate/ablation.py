"""Trains and scores a recipe with one thing changed at a time, and tabulates."""

import csv
import io
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from asd_agent.errors import AsdError, ConfigError
from asd_train.budget import Budget
from asd_train.evaluate.evaluate import Order as EvaluationOrder
from asd_train.evaluate.evaluate import evaluate
from asd_train.evaluate.subject import of_run
from asd_train.evaluate.switches import BASE, Row
from asd_train.fit import Plan
from asd_train.fleet import fit_all
from asd_train.recipe import Recipe
from asd_train.run import write_atomic
from asd_train.runs import runs_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What to train and evaluate on, and how long."""

    data: Path
    out: Path
    """A folder for each row, and the tables"""
    budget: Budget
    """Of each network that is trained"""
    now: Callable[[], datetime]
    stopped: Callable[[], bool]
    """Asked between steps whether to stop"""
    device: str = "auto"
    year: int | None = None
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the table; figures are fractions, None where not defined."""

    name: str
    text: str
    trained: bool
    """Whether it has a network of its own"""
    official: float | None
    auc: float | None
    """Arithmetic mean of what the protocol counts"""
    pauc: float | None
    difference: float | None
    """Of the official score to the base's"""


def ablate(recipe: Recipe, rows: Sequence[Row], order: Order) -> list[Result]:
    """Carry out an ablation; rows that are done are not done again.

    A row that does not fit the recipe or the recordings is left out with a warning.

    Raises
    ------
    KeyboardInterrupt
        It was stopped; the same call goes on.
    AsdError
        The recordings, the recipe or the folder cannot be used.
    """
    base = _trained(BASE, recipe, order)
    results = [_result(Row(BASE, f"recipe {recipe.name}"), base, None)]
    _write(results, order.out)
    for row in rows:
        try:
            summary = _row(row, recipe, order)
        except AsdError as error:
            _LOG.warning("%s: left out: %s", row.name, error)
            continue
        if summary is None:
            _LOG.info("%s: left out, it makes no difference", row.name)
            continue
        results.append(_result(row, summary, base))
        _write(results, order.out)
    return results


def _row(row: Row, recipe: Recipe, order: Order) -> dict[str, Any] | None:
    """Carry out one row; None where the change makes no difference."""
    changed = row.of(recipe)
    if changed is None:
        return None
    if row.training is None:
        return _evaluated(row.name, BASE, changed, order)
    return _trained(row.name, changed, order)


def _trained(name: str, recipe: Recipe, order: Order) -> dict[str, Any]:
    run = order.out / name / "run"
    if not (order.out / name / "evaluation" / "evaluation.json").is_file():
        plan = Plan(device=order.device, resume=True, stopped=order.stopped)
        fit_all(recipe, order.data, run, order.budget, plan=plan)
    own = next(iter(runs_of(run).values())).recipe
    each = {"machines": recipe.machines, "one_per": recipe.one_per}
    if own.model_copy(update=each) != recipe:
        raise ConfigError(
            f"{run} is of another recipe: give a new folder after -o, or remove it"
        )
    return _evaluated(name, name, recipe, order)


def _evaluated(name: str, of: str, recipe: Recipe, order: Order) -> dict[str, Any]:
    """Evaluate the network of row `of` for row `name`, unless that is done."""
    out = order.out / name / "evaluation"
    path = out / "evaluation.json"
    if not path.is_file():
        run = order.out / of / "run"
        subject = replace(of_run(run, order.device), scoring=recipe.scoring)
        evaluation = EvaluationOrder(
            data=order.data,
            out=out,
            cache=order.out / of / "evaluation" / "cache",
            now=order.now(),
            year=order.year,
            machines=recipe.machines,
            reference=False,
            jobs=order.jobs,
        )
        evaluate(subject, evaluation)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _result(row: Row, summary: dict[str, Any], base: dict[str, Any] | None) -> Result:
    overall = summary["overall"]
    official = overall["official"]
    reference = base["overall"]["official"] if base else None
    known = official is not None and reference is not None
    return Result(
        row.name,
        row.text,
        trained=base is None or row.training is not None,
        official=official,
        auc=overall["arithmetic"]["auc"],
        pauc=overall["arithmetic"]["pauc"],
        difference=official - reference if known else None,
    )


def _write(results: Sequence[Result], out: Path) -> None:
    rows = [asdict(result) for result in results]
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    content = json.dumps({"format": 1, "rows": rows}, indent=1, allow_nan=False)
    write_atomic(out / "ablation.json", content.encode() + b"\n")
    write_atomic(out / "ablation.csv", text.getvalue().encode())
    write_atomic(out / "ablation.md", markdown(results).encode())


def markdown(results: Sequence[Result]) -> str:
    """The results as a table, in percent."""
    lines = [
        "| row | change | own training | official score | AUC | pAUC | to base |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        cells = [_percent(value) for value in (r.official, r.auc, r.pauc)]
        shift = "" if r.difference is None else f"{100 * r.difference:+.2f}"
        trained = "yes" if r.trained else "no"
        row = [r.name, r.text, trained, *cells, shift]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
