"""The coverage as people and programs read it."""

import json
from dataclasses import replace
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from asd_agent import cli
from asd_agent.coverage import Kind, Span
from asd_agent.coverage_table import table
from asd_agent.ledger import FOLDER, DayCoverage, Ledger
from support.agents import Agent, agent

DAY = DayCoverage(
    date(2026, 11, 21),
    "pump",
    scored_s=86_000.0,
    learnt_s=0.0,
    suspect_s=10.0,
    silent_s=0.0,
    gap_s=390.0,
    reasons={"lost": 371.5, "clipped": 10.0, "cut": 18.5, "dropout": 0.5},
)


def test_a_row_a_day() -> None:
    part = replace(DAY, scored_s=30.0, suspect_s=0.0, gap_s=0.0, reasons={})
    assert table([DAY, replace(part, source="fan")]).splitlines() == [
        "DAY         SOURCE  HEARD             SCORED   LEARNT  SUSPECT  SILENT  "
        "GAP    WHY",
        "2026-11-21  pump    24.0 h (100.0 %)  99.5 %   -       <0.1 %   -       "
        "0.5 %  lost 6.2 min, cut 18.5 s, clipped 10.0 s",
        "2026-11-21  fan     30.0 s (<0.1 %)   100.0 %  -       -        -       -",
    ]


def test_nothing_is_rounded_to_all() -> None:
    nearly = replace(DAY, scored_s=86_399.0, suspect_s=0.0, gap_s=1.0)
    assert "  99.9 %  " in table([nearly])


@pytest.fixture
def made(tmp_path: Path) -> Agent:
    found = agent(tmp_path)
    ledger = Ledger(found.folder / "state" / FOLDER)
    for day in (20, 21):
        when = datetime(2026, 11, day, tzinfo=timezone.utc)
        ledger.add("pump", when, 100, [Span(Kind.SCORED, "", 100 * day)])
    ledger.save()
    return found


def test_the_command_prints_days(
    made: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(made.file)
    assert cli.main(["coverage", "--config", config]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["DAY", "2026-11-20", "2026-11-21"]
    command = ["coverage", "--config", config, "--days", "1", "--json"]
    assert cli.main([*command, "--source", "pump"]) == 0
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (record["day"], record["scored_s"]) == ("2026-11-21", 21.0)
    assert cli.main([*command, "--source", "fan"]) == 2
    assert "no such source; there are pump" in capsys.readouterr().err


def test_before_anything_was_heard(
    made: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    made.configure()
    for path in (made.folder / "state" / FOLDER).iterdir():
        path.unlink()
    assert cli.main(["coverage", "--config", str(made.file)]) == 0
    assert "nothing was heard yet" in capsys.readouterr().out


@pytest.mark.parametrize("days", ["0", "401", "many"])
def test_days_must_be_a_number_of_days(
    made: Agent, days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        cli.main(["coverage", "--config", str(made.file), "--days", days])
    assert error.value.code == 2
    assert "--days" in capsys.readouterr().err
